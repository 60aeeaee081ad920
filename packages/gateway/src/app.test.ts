import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { gzipSync } from "node:zlib";
import { ERRORS, FIXED_LIMITS } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApp } from "./app.js";
import { Invocations } from "./invocations.js";
import { routes } from "./routes.js";
import { createGatewayServer } from "./server.js";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { rawAnswer } from "./testing/raw-answer.js";
import { mirror } from "./testing/settlements.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ hello: {}, open: { public: true } }, { timing: { headMs: 1000, requestMs: 1500, lookMs: 50 } });
	stack.onInvocation(mirror);
});
afterAll(() => stack?.close());

const port = () => Number(new URL(stack.url).port);

const raw = (text: string) => rawAnswer(stack.url, text);

describe("a key is asked for", () => {
	const all = routes({} as Invocations).filter(({ scope }) => scope !== "none" && scope !== "public");
	const path = (text: string) =>
		text
			.replace("{name}", "hello")
			.replace("{id}", `inv_${"0".repeat(26)}`)
			.replace("{number}", "1");

	test.each(all.map((route) => [route.method, route.path] as const))("%s %s", async (method, route) => {
		for (const authorization of [undefined, "Bearer nothing", `Bearer berth_${"A".repeat(43)}`, `Basic ${stack.key}`]) {
			const answer = await fetch(stack.url + path(route), {
				method: method.toUpperCase(),
				headers: authorization === undefined ? {} : { authorization },
			});
			expect(answer.status).toBe(401);
			expect(answer.headers.get("www-authenticate")).toBe("Bearer");
			expect(await answer.json()).toMatchObject({ code: "unauthorized" });
		}
	});

	test("for functions that aren't public, whether they are there or not", async () => {
		const [there, not] = await Promise.all(["hello", "nothere"].map((name) => fetch(`${stack.url}/fn/default/${name}`)));
		const [a, b] = [await there?.json(), await not?.json()] as { instance?: string }[];
		expect({ ...a, instance: "" }).toEqual({ ...b, instance: "" });
		expect(there?.status).toBe(401);
	});
});

test("while the records are lost, a function that isn't among them isn't said not to be there", async () => {
	await stack.services.functions.store.recovered();
	await stack.redis.client((client) => client.set("{berth}:store", "lost"));
	try {
		for (const [path, method] of [
			["/v1/functions/nothere", "GET"],
			["/v1/functions/nothere/invocations", "POST"],
		] as const)
			expect(await (await stack.fetch(path, { method })).json()).toMatchObject({ code: "store_unrecovered", status: 503 });
		expect((await stack.fetch("/v1/functions/hello")).status).toBe(200);
	} finally {
		await stack.services.functions.store.recovered();
	}
	expect((await stack.fetch("/v1/functions/nothere")).status).toBe(404);
});

test.each([
	["?wait=maybe", "wait", "true or false"],
	["?wiat=true", "wiat", "this path takes wait, cache in its query"],
])("a deploy with %s is refused, as it was meant to do something", async (query, field, message) => {
	const body = JSON.stringify({ source: "export default 1" });
	const answer = await stack.fetch(`/v1/functions/hello${query}`, { method: "PUT", headers: { "content-type": "application/json" }, body });
	expect(await answer.json()).toMatchObject({ code: "invalid_request", issues: [{ field, message }] });
});

describe("there is no such", () => {
	test.each([
		["GET", "/nowhere", 404, "not_found"],
		["GET", "/V1/functions", 404, "not_found"],
		["GET", "/v1/functions/nothere", 404, "function_not_found"],
		["GET", "/v1/functions/nothere/versions", 404, "function_not_found"],
		["GET", "/v1/functions/nothere/versions/1", 404, "function_not_found"],
		["GET", "/v1/functions/hello/versions/99", 404, "version_not_found"],
		["DELETE", "/v1/functions/hello/versions/99", 404, "version_not_found"],
		["GET", "/v1/functions/hello/aliases/nothere", 404, "alias_not_found"],
		["GET", "/v1/functions/nothere/aliases", 404, "function_not_found"],
		["DELETE", "/v1/functions/hello/aliases/nothere", 404, "alias_not_found"],
		["POST", "/v1/functions/hello/aliases/nothere/rollback", 404, "alias_not_found"],
		["POST", "/v1/functions/hello@nothere/invocations", 404, "alias_not_found"],
		["POST", "/v1/functions/hello@9/invocations", 404, "version_not_found"],
		["POST", "/v1/functions/nothere@9/invocations", 404, "function_not_found"],
		["POST", "/v1/functions/hello@/invocations", 400, "invalid_name"],
		["POST", "/v1/functions/hello@latest/invocations", 400, "invalid_name"],
		["POST", "/v1/functions/hello@live@live/invocations", 400, "invalid_name"],
		["GET", "/v1/functions/hello/aliases/v3", 400, "invalid_name"],
		["GET", "/v1/functions/hello/versions/x", 400, "invalid_request"],
		["DELETE", "/v1/functions/nothere", 404, "function_not_found"],
		["POST", "/v1/functions/nothere/invocations", 404, "function_not_found"],
		["GET", "/fn/default/nothere", 404, "function_not_found"],
		["GET", "/fn/elsewhere/hello", 404, "function_not_found"],
		["GET", "/v1/invocations/inv_00000000000000000000000000", 404, "invocation_not_found"],
		["GET", "/v1/invocations/x", 404, "invocation_not_found"],
		["GET", "/v1/functions/%zz", 400, "invalid_request"],
		["POST", "/v1/functions", 405, "method_not_allowed"],
		["PATCH", "/livez", 405, "method_not_allowed"],
	])("%s %s", async (method, path, status, code) => {
		const answer = await stack.fetch(path, { method });
		expect([answer.status, await answer.json()]).toMatchObject([
			status,
			{ type: `urn:berth:error:${code}`, status, code, fault: "caller", instance: expect.stringMatching(/^urn:berth:request:req_/) },
		]);
		expect(answer.headers.get("content-type")).toBe("application/problem+json");
	});

	test("method: Allow says which there are, and so does OPTIONS", async () => {
		const refused = await stack.fetch("/v1/functions/hello", { method: "PATCH" });
		expect(refused.headers.get("allow")).toBe("PUT, GET, DELETE, HEAD, OPTIONS");
		const asked = await fetch(`${stack.url}/v1/functions`, { method: "OPTIONS" });
		expect([asked.status, asked.headers.get("allow")]).toEqual([204, "GET, HEAD, OPTIONS"]);
	});
});

describe("a body", () => {
	const LIMIT = FIXED_LIMITS.bodyBytes;

	test("of the most bytes is taken, of one more refused", async () => {
		const headers = { "content-type": "text/plain" };
		const send = (bytes: number) =>
			stack.fetch("/v1/functions/hello/invocations", { method: "POST", headers, body: Buffer.alloc(bytes, 97) });
		expect((await send(LIMIT)).status).toBe(200);
		const refused = await send(LIMIT + 1);
		expect([refused.status, await refused.json()]).toMatchObject([413, { code: "body_too_large", limitBytes: LIMIT }]);
	});

	test("that doesn't say its length is cut off at the limit, and the refusal arrives", async () => {
		const headers = { authorization: `Bearer ${stack.key}` };
		const sent = httpRequest({ port: port(), path: "/v1/functions/hello/invocations", method: "POST", headers, agent: false });
		sent.on("error", () => undefined);
		const chunk = Buffer.alloc(1024 * 1024);
		for (let i = 0; i < 10; i++) sent.write(chunk);
		const [answer] = await once(sent, "response");
		sent.end();
		expect(answer.statusCode).toBe(413);
		answer.resume();
	});

	test("is asked for only when it is going to be read", async () => {
		const ask = async (bytes: number) => {
			const headers = {
				authorization: `Bearer ${stack.key}`,
				"content-type": "text/plain",
				expect: "100-continue",
				"content-length": bytes,
			};
			const sent = httpRequest({ port: port(), path: "/v1/functions/hello/invocations", method: "POST", headers, agent: false });
			let continued = false;
			sent.on("continue", () => {
				continued = true;
				sent.end(Buffer.alloc(bytes, 97));
			});
			sent.on("error", () => undefined);
			sent.flushHeaders();
			const [answer] = await once(sent, "response");
			answer.resume();
			sent.destroy();
			return [answer.statusCode, continued];
		};
		expect(await ask(10)).toEqual([200, true]);
		expect(await ask(LIMIT + 1)).toEqual([413, false]);
	});
});

describe("on the socket", () => {
	test("a head that doesn't end is 408", async () => {
		expect(await raw("GET /livez HTTP/1.1\r\nhost: x\r\n")).toMatch(/^HTTP\/1.1 408 [\s\S]*"code":"request_timeout"/);
	});

	test("a body that doesn't end is closed, and others are served meanwhile", async () => {
		const head = `POST /v1/functions/hello/invocations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${stack.key}\r\ncontent-length: 10\r\n\r\nabc`;
		const slow = raw(head);
		expect((await stack.fetch("/v1/functions/hello/invocations", { method: "POST" })).status).toBe(200);
		expect(await slow).toMatch(/^HTTP\/1.1 408 /);
	});

	test("headers that are too large are 431", async () => {
		expect(await raw(`GET /livez HTTP/1.1\r\nhost: x\r\na: ${"b".repeat(70_000)}\r\n\r\n`)).toMatch(
			/^HTTP\/1.1 431 [\s\S]*"code":"headers_too_large"/,
		);
	});

	test("what isn't HTTP is 400", async () => {
		expect(await raw("hello\r\n\r\n")).toMatch(/^HTTP\/1.1 400 [\s\S]*application\/problem\+json/);
	});

	test("before the application is there it is 503", async () => {
		const { server, serve } = createGatewayServer({ answerStallMs: 60_000, answerBytes: 1, onCut: () => undefined });
		await once(server.listen(0, "127.0.0.1"), "listening");
		const address = server.address();
		const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/livez`;
		const early = await fetch(url);
		expect([early.status, early.headers.get("retry-after"), ((await early.json()) as { code: string }).code]).toEqual([
			503,
			"1",
			"unavailable",
		]);
		serve(createApp(stack.services, new Invocations(stack.services)));
		expect((await fetch(url)).status).toBe(200);
		server.closeAllConnections();
		server.close();
	});
});

describe("the nodes", () => {
	const command = (body: unknown) => stack.fetch("/v1/nodes/commands", { method: "POST", body: JSON.stringify(body) });

	test("do what they are told", async () => {
		expect(await (await command({ kind: "evict", function: "hello" })).json()).toEqual({ affected: 1 });
		expect(await (await command({ kind: "prewarm", floor: 2 })).json()).toEqual({ affected: 1 });
	});

	test.each([
		{ kind: "explode" },
		{ kind: "kill" },
		{ kind: "kill", sandbox: "../x" },
		{ kind: "evict" },
		{ kind: "prewarm", floor: -1 },
		{ kin: 1 },
		[],
	])("but not %j", async (body) => {
		const answer = await command(body);
		expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([400, "invalid_request"]);
	});
});

describe("the OpenAPI document", () => {
	interface Document {
		readonly openapi: string;
		readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly security?: unknown; readonly responses: object }>>>>;
		readonly components: {
			readonly schemas: { readonly Problem: { readonly properties: { readonly code: { readonly enum: string[] } } } };
		};
	}
	const read = async () => (await (await fetch(`${stack.url}/openapi.json`)).json()) as Document;

	test("lists every route with its methods, and nothing else", async () => {
		const { paths, openapi } = await read();
		expect(openapi).toMatch(/^3\.1/);
		const listed = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
		const every = ["get", "put", "post", "delete", "patch", "head", "options"];
		const served = [...routes(new Invocations(stack.services)), { method: "get", path: "/openapi.json" }].flatMap(({ method, path }) =>
			(method === "all" ? every : [method]).map((one) => `${one} ${path}`),
		);
		expect(listed.sort()).toEqual(served.sort());
	});

	test("says of each operation which scope it needs, and that it may answer a problem", async () => {
		const { paths, components } = await read();
		for (const route of routes(new Invocations(stack.services))) {
			const operation = paths[route.path]?.[route.method === "all" ? "get" : route.method];
			const security = { none: undefined, public: [{}, { key: ["invoke"] }] }[route.scope as string];
			expect([route.path, operation?.security]).toEqual([
				route.path,
				route.scope in { none: 1, public: 1 } ? security : [{ key: [route.scope] }],
			]);
			expect(Object.keys(operation?.responses ?? {}).sort()).toEqual([...Object.keys(route.answers), "default"].sort());
		}
		expect(components.schemas.Problem.properties.code.enum).toEqual(Object.keys(ERRORS));
	});
});

test("a refusal reaches a client that closes its connection after it, though it sends more than is taken", async () => {
	const headers = { authorization: `Bearer ${stack.key}`, connection: "close", "content-type": "text/plain" };
	for (let round = 0; round < 5; round++) {
		const sent = httpRequest({ port: port(), path: "/v1/functions/hello", method: "PUT", headers, agent: false });
		const failed = once(sent, "error").then(([error]) => Promise.reject(error));
		sent.end(Buffer.alloc(20 * 1024 * 1024));
		const [answer] = await Promise.race([once(sent, "response"), failed]);
		answer.resume();
		expect(answer.statusCode).toBe(415);
		await Promise.race([once(answer, "end"), failed]);
	}
});

test("a body that is compressed on its way is refused, and what is taken is said", async () => {
	const headers = { authorization: `Bearer ${stack.key}`, "content-type": "application/json", "content-encoding": "gzip" };
	for (const path of ["functions/hello/invocations", "functions/hello"]) {
		const method = path.endsWith("invocations") ? "POST" : "PUT";
		const answer = await fetch(`http://127.0.0.1:${port()}/v1/${path}`, { method, headers, body: gzipSync("{}") });
		expect([answer.status, answer.headers.get("accept-encoding")]).toEqual([415, "identity"]);
		expect(await answer.json()).toMatchObject({ code: "unsupported_media_type", detail: expect.stringContaining("gzip") });
	}
});
