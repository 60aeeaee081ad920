import { createHmac, timingSafeEqual } from "node:crypto";

interface Environment {
	readonly WEBHOOK_SECRET: string;
}

/**
 * Takes POSTs that carry `x-signature: sha256=<hex>`, the HMAC of the body under the shared secret. What is verified is
 * the bytes as they came: parsed and written again, they might be others.
 */
export default {
	async fetch(request: Request, env: Environment): Promise<Response> {
		if (request.method !== "POST") return new Response("POST a webhook\n", { status: 405, headers: { allow: "POST" } });
		const bytes = Buffer.from(await request.arrayBuffer());
		if (!isSigned(bytes, request.headers.get("x-signature") ?? "", env.WEBHOOK_SECRET))
			return new Response("bad signature\n", { status: 401 });
		let event: { type?: unknown };
		try {
			event = JSON.parse(bytes.toString("utf8"));
		} catch {
			return new Response("the body isn't JSON\n", { status: 400 });
		}
		console.log(`received ${String(event.type)}`);
		return Response.json({ received: event.type ?? null });
	},
};

/** Compared in constant time: how long it takes says nothing about how much of a guess was right. */
function isSigned(body: Buffer, signature: string, secret: string): boolean {
	const expected = createHmac("sha256", secret).update(body).digest();
	const given = Buffer.from(signature.replace(/^sha256=/, ""), "hex");
	return given.length === expected.length && timingSafeEqual(given, expected);
}
