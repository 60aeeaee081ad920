import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { expectUnforged, FORGED_HEADERS } from "../harness/forged-headers.js";
import { deploy, header, json } from "../harness/functions.js";
import { send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

/** Says everything it was asked, whatever the method. */
const ECHO = `export default {
	async fetch(request: Request): Promise<Response> {
		const url = new URL(request.url);
		return Response.json({
			method: request.method, path: url.pathname, search: url.search, host: url.host,
			headers: [...request.headers], body: Buffer.from(await request.arrayBuffer()).toString("base64"),
		}, { status: 207, headers: { "x-shape": "fetch" } });
	},
};`;

interface Echo {
	readonly method: string;
	readonly path: string;
	readonly search: string;
	readonly headers: readonly (readonly [string, string])[];
	readonly body: string;
}

describe("a fetch handler", () => {
	it.each(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])(
		"gets a %s with its path, query and headers as they were sent",
		async (method) => {
			const { name } = await deploy(stack, { source: ECHO });
			const answer = await send(stack, {
				method,
				path: `/fn/default/${name}/a/b%20c?x=1&x=2&y=%C3%BC`,
				headers: [
					["x-one", "1"],
					["x-many", "a"],
					["x-many", "b"],
				],
				...(method === "GET" ? {} : { body: "body" }),
			});
			expect(answer.status).toBe(207);
			expect(answer.headers["x-shape"]).toBe("fetch");
			const echo = json<Echo>(answer);
			expect(echo).toMatchObject({ method, path: "/a/b%20c", search: "?x=1&x=2&y=%C3%BC" });
			expect(echo.headers).toContainEqual(["x-one", "1"]);
			expect(echo.headers).toContainEqual(["x-many", "a, b"]);
			expect(Buffer.from(echo.body, "base64").toString()).toBe(method === "GET" ? "" : "body");
		},
	);

	it("says nothing in its headers that isn't its to say", async () => {
		const source = `export default { fetch() {
			const headers = new Headers(${JSON.stringify({ ...FORGED_HEADERS, "content-length": "999" })});
			headers.append("set-cookie", "a=1");
			headers.append("set-cookie", "b=2");
			return new Response("tea", { headers });
		} };`;
		const forging = await deploy(stack, { source });
		await expectUnforged(forging, await send(stack, { path: `/fn/default/${forging.name}` }), "tea");
	});

	it("never sees the key that the gateway was asked with", async () => {
		const { name } = await deploy(stack, { source: ECHO });
		const echo = json<Echo>(await send(stack, { path: `/fn/default/${name}` }));
		expect(JSON.stringify(echo)).not.toContain(stack.key);
		expect(echo.path).toBe("/");
	});

	it("gets and gives binary bodies byte for byte, small and large", async () => {
		const source = `export default { async fetch(request: Request) {
			return new Response(await request.arrayBuffer(), { headers: { "content-type": "image/png" } }); } };`;
		const { name } = await deploy(stack, { source });
		for (const size of [0, 1, 1000, 64 * 1024, 64 * 1024 + 1, 5 * 1024 * 1024]) {
			const body = randomBytes(size);
			const answer = await send(stack, { method: "POST", path: `/fn/default/${name}/`, body });
			expect(answer.status).toBe(200);
			expect(answer.headers["content-type"]).toBe("image/png");
			expect(answer.body.equals(body)).toBe(true);
		}
	});

	it("answers a redirect, two cookies and an empty body as they are", async () => {
		const source = `export default { fetch() {
			const headers = new Headers({ location: "https://example.org/next" });
			headers.append("set-cookie", "a=1; Path=/");
			headers.append("set-cookie", "b=2");
			return new Response(null, { status: 302, headers }); } };`;
		const { name } = await deploy(stack, { source });
		const answer = await send(stack, { path: `/fn/default/${name}/` });
		expect(answer.status).toBe(302);
		expect(answer.headers.location).toBe("https://example.org/next");
		expect(answer.headers["set-cookie"]).toEqual(["a=1; Path=/", "b=2"]);
		expect(answer.body).toHaveLength(0);
	});

	it("answers HEAD with its headers, and no body", async () => {
		const source = `export default { fetch: (request: Request) =>
			new Response(request.method === "HEAD" ? null : "text", { headers: { "x-method": request.method } }) };`;
		const { name } = await deploy(stack, { source });
		const answer = await send(stack, { method: "HEAD", path: `/fn/default/${name}/` });
		expect(answer.status).toBe(200);
		expect(answer.headers["x-method"]).toBe("HEAD");
		expect(answer.body).toHaveLength(0);
	});

	it.each([204, 304])("may answer %i, which has no body", async (status) => {
		const { name } = await deploy(stack, { source: `export default { fetch: () => new Response(null, { status: ${status} }) };` });
		const answer = await send(stack, { path: `/fn/default/${name}/` });
		expect(answer.status).toBe(status);
		expect(answer.body).toHaveLength(0);
	});

	it("may answer 500 itself: that is its answer, no failure of the platform", async () => {
		const deployed = await deploy(stack, { source: "export default { fetch: () => new Response('mine', { status: 500 }) };" });
		const answer = await deployed.request();
		expect(answer.status).toBe(500);
		expect(answer.body.toString()).toBe("mine");
		expect(header(answer, "berth-outcome")).toBe("succeeded");
	});

	it("can't set the headers that are the gateway's", async () => {
		const source = `export default { fetch: () => new Response("x", { headers: {
			"berth-invocation-id": "inv_forged", "berth-outcome": "timed_out", "server-timing": "forged", "connection": "close" } }) };`;
		const answer = await (await deploy(stack, { source })).request();
		expect(header(answer, "berth-invocation-id")).toMatch(/^inv_[0-9a-z]{26}$/);
		expect(header(answer, "berth-outcome")).toBe("succeeded");
		expect(header(answer, "server-timing")).not.toContain("forged");
	});

	it("takes an invocation as a POST with the payload as its body", async () => {
		const deployed = await deploy(stack, { source: ECHO });
		const { raw, outcome } = await deployed.invoke({ a: 1 });
		expect(outcome).toBe("succeeded");
		const echo = json<Echo>(raw);
		expect(echo).toMatchObject({ method: "POST", path: "/" });
		expect(Buffer.from(echo.body, "base64").toString()).toBe('{"a":1}');
		expect(echo.headers).toContainEqual(["content-type", "application/json"]);
	});
});

describe("a payload handler", () => {
	const TYPE = `export default (payload: unknown) => ({
		type: payload instanceof Uint8Array ? "bytes" : typeof payload,
		value: payload instanceof Uint8Array ? Buffer.from(payload).toString("hex") : payload ?? null });`;

	it.each([
		["application/json", '{"a":[1]}', { type: "object", value: { a: [1] } }],
		["application/cloudevents+json", "[1]", { type: "object", value: [1] }],
		["text/plain", "text", { type: "string", value: "text" }],
		["application/octet-stream", Buffer.from([0, 255]), { type: "bytes", value: "00ff" }],
	] as const)("gets %s for what it is", async (contentType, bytes, expected) => {
		const { name } = await deploy(stack, { source: TYPE });
		const { raw } = await stack.client.invoke(name, { bytes, contentType });
		expect(json(raw)).toEqual(expected);
	});

	it("gets undefined when there is no body", async () => {
		const { name } = await deploy(stack, { source: TYPE });
		expect(json((await stack.client.invoke(name)).raw)).toEqual({ type: "undefined", value: null });
	});

	it.each([
		["undefined", 204, undefined, ""],
		["null", 200, "application/json", "null"],
		["({ a: 1 })", 200, "application/json", '{"a":1}'],
		["'text'", 200, "text/plain; charset=utf-8", "text"],
		["new Uint8Array([104, 105])", 200, "application/octet-stream", "hi"],
		["new Response('made', { status: 201, headers: { 'content-type': 'text/x-own' } })", 201, "text/x-own", "made"],
	])("returns %s", async (value, status, contentType, body) => {
		const { raw } = await (await deploy(stack, { source: `export default async () => ${value};` })).invoke();
		expect([raw.status, header(raw, "content-type"), raw.body.toString()]).toEqual([status, contentType, body]);
	});

	it("that returns what has no form as an answer has a handler error that says so", async () => {
		const answer = await (await deploy(stack, { source: "export default () => Symbol('x');" })).invoke();
		expect(answer).toMatchObject({ outcome: "handler_error", problem: { status: 502, error: { name: "ReplyError" } } });
	});

	it("asked over its URL finds the request in its context", async () => {
		const source = "export default (payload: unknown, ctx: any) => ({ payload, method: ctx.request.method, url: ctx.request.url });";
		const deployed = await deploy(stack, { source });
		const answer = await deployed.request({ method: "PUT", path: "/x?y=1", headers: { "content-type": "application/json" }, body: "[7]" });
		expect(json(answer)).toEqual({ payload: [7], method: "PUT", url: "/x?y=1" });
	});
});

describe("an event handler", () => {
	it("gets the payload as its event", async () => {
		const deployed = await deploy(stack, { source: "export const handler = async (event: any) => ({ got: event.a });" });
		expect(await deployed.result({ a: 5 })).toEqual({ got: 5 });
	});

	it("asked over its URL gets a Lambda function URL's event, and its structured answer is an HTTP answer", async () => {
		const source = `export const handler = async (event: any) => ({
			statusCode: 418, headers: { "x-path": event.rawPath }, cookies: ["a=1", "b=2"],
			body: Buffer.from(JSON.stringify({ q: event.queryStringParameters, m: event.requestContext.http.method })).toString("base64"),
			isBase64Encoded: true });`;
		const { name } = await deploy(stack, { source });
		const answer = await send(stack, { method: "DELETE", path: `/fn/default/${name}/p/q?r=s` });
		expect(answer.status).toBe(418);
		expect(answer.headers["x-path"]).toBe("/p/q");
		expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
		expect(json(answer)).toEqual({ q: { r: "s" }, m: "DELETE" });
	});
});

describe("a function's own URL", () => {
	it("answers without a key when the manifest says public, and only then", async () => {
		const open = await deploy(stack, { source: ECHO, public: true });
		const closed = await deploy(stack, { source: ECHO });
		expect((await send(stack, { path: `/fn/default/${open.name}/`, key: null })).status).toBe(207);
		expect((await send(stack, { path: `/fn/default/${closed.name}/`, key: null })).status).toBe(401);
	});

	it("hands a public function the authorization that its own caller sent", async () => {
		const { name } = await deploy(stack, { source: ECHO, public: true });
		const echo = json<Echo>(await send(stack, { path: `/fn/default/${name}/`, key: "theirs" }));
		expect(echo.headers).toContainEqual(["authorization", "Bearer theirs"]);
	});

	it("never hands on a key of ours, however it was sent", async () => {
		const { name } = await deploy(stack, { source: ECHO, public: true });
		for (const value of [stack.key, `BEARER\t${stack.key}`, `Basic ${stack.key}`]) {
			const headers = [["authorization", value]] as const;
			const answer = await send(stack, { path: `/fn/default/${name}/`, key: null, headers });
			expect([answer.status, answer.body.includes(stack.key)]).toEqual([207, false]);
		}
	});

	it("isn't asked for a TRACE: no handler can have one", async () => {
		const { name } = await deploy(stack, { source: ECHO, public: true });
		const answer = await send(stack, { method: "TRACE", path: `/fn/default/${name}/`, key: null });
		expect([answer.status, json<{ code: string }>(answer).code]).toEqual([405, "method_not_allowed"]);
	});

	it.each([
		["a network error", "Response.error()", "the status 0"],
		["a status that is none", "Object.defineProperty(new Response(), 'status', { value: 999 })", "the status 999"],
		[
			"more headers than are taken",
			"new Response('', { headers: Array.from({ length: 300 }, (_, i) => ['x-' + i, '1']) })",
			"headers; 256",
		],
	])("that answers with %s has made a mistake of its own", async (_, response, said) => {
		const deployed = await deploy(stack, { source: `export default { fetch: () => ${response} };` });
		const { outcome, problem } = await deployed.invoke();
		expect(outcome).toBe("handler_error");
		expect(problem?.detail).toContain(said);
	});
});

describe("ctx.log", () => {
	it("writes one line for whatever it is given, and never throws", async () => {
		const source = `export default async (_: unknown, { log }: any) => {
			const cycle: any = {}; cycle.self = cycle;
			log.info("plain", { n: 1 });
			log.error("db down", new Error("ECONN"));
			log.error(new TypeError("alone"));
			log.warn("value", "text");
			log.info("mine", { level: "x", message: "y", big: 1n });
			log.info("cycle", cycle);
			return "done";
		};`;
		const deployed = await deploy(stack, { source });
		const answer = await deployed.invoke();
		expect(answer.outcome).toBe("succeeded");
		const lines = (await deployed.record(answer)).logs.map(({ text }) => JSON.parse(text) as Record<string, unknown>);
		expect(lines).toMatchObject([
			{ level: "info", message: "plain", n: 1 },
			{ level: "error", message: "db down", error: { name: "Error", message: "ECONN" } },
			{ level: "error", message: "alone", error: { name: "TypeError" } },
			{ level: "warn", message: "value", value: "text" },
			{ level: "info", message: "mine", big: "1" },
			{ level: "info", message: "cycle", unloggable: expect.stringContaining("circular") as string },
		]);
	});
});
