import type { Stack } from "./stack.js";

/** Source of a function that tells what a URL of its payload answers, or why it doesn't. */
export const ASKS = `export default async ({ url, withinMs = 10_000 }) => {
	try { return await (await fetch(url, { signal: AbortSignal.timeout(withinMs) })).text(); } catch (error) { return error.cause?.code ?? error.name; } }`;

/** Source of a function that asks each URL of its payload, and tells status and text of each, who asks it, and by which URL. */
export const CALLS = `export default { async fetch(request) {
	const { urls = [], headers = {} } = request.method === "POST" ? await request.json() : {};
	const answers = [];
	for (const url of urls) {
		try {
			const answer = await fetch(url, { headers, signal: AbortSignal.timeout(5000) });
			answers.push([answer.status, await answer.text(), answer.headers.get("berth-invocation-id")]);
		} catch (error) { answers.push([0, error.cause?.code ?? error.name]); }
	}
	return Response.json({ url: request.url, caller: request.headers.get("berth-caller"), answers });
} }`;

export interface Called {
	readonly url: string;
	readonly caller: string | null;
	readonly answers: readonly (readonly [status: number, text: string, invocation?: string])[];
}

/** Has a function of `CALLS` ask. @throws Error when it doesn't answer */
export async function call(
	stack: Stack,
	name: string,
	body: { readonly urls: readonly string[]; readonly headers?: object },
): Promise<Called> {
	const answer = await stack.client.request("default", name, {
		method: "POST",
		body: JSON.stringify(body),
		headers: { "content-type": "application/json" },
	});
	if (answer.status !== 200) throw new Error(`${name} answered ${answer.status}: ${answer.body.toString()}`);
	return JSON.parse(answer.body.toString()) as Called;
}
