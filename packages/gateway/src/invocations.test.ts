import { once } from "node:events";
import { readdirSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { ERRORS, type InvocationAnswer, type InvocationRequest, OUTCOMES } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { ended, mirror, responding } from "./testing/settlements.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ hello: {}, open: { public: true } });
});
afterAll(() => stack?.close());

const invoke = (body: NonNullable<RequestInit["body"]> | null, headers: Record<string, string> = {}) =>
	stack.fetch("/v1/functions/hello/invocations", { method: "POST", body, headers });
const payloads = () => readdirSync(join(stack.directory, "payloads"));

async function seenBy(path: string, init: RequestInit = {}): Promise<InvocationRequest> {
	let seen: InvocationRequest | undefined;
	stack.onInvocation(async (delivery) => {
		seen = delivery.request;
		return ended("succeeded", {}, { body: { text: "" }, response: { status: 200, headers: [] } });
	});
	await (await stack.fetch(path, init)).arrayBuffer();
	return seen as InvocationRequest;
}

describe("an event", () => {
	test("goes in as it is and its result comes out, with id, outcome and timing", async () => {
		stack.onInvocation(mirror);
		const answer = await invoke('{"a":1}', { "content-type": "application/json" });
		expect(answer.status).toBe(200);
		expect(await answer.json()).toMatchObject({ body: { text: '{"a":1}' }, trigger: { kind: "event", contentType: "application/json" } });
		expect(answer.headers.get("berth-invocation-id")).toMatch(/^inv_[0-9a-z]{26}$/);
		expect(answer.headers.get("berth-outcome")).toBe("succeeded");
		expect(answer.headers.get("server-timing")).toContain("queue;dur=1.00, start;dur=2.00;desc=warm, init;dur=3.00, run;dur=4.00");
	});

	test("that returns nothing is 204", async () => {
		stack.onInvocation(async () => ended("succeeded", {}, { body: { text: "" } }));
		expect((await invoke(null)).status).toBe(204);
	});

	test("of many bytes, and with such a result, leaves nothing behind on disk", async () => {
		stack.onInvocation(async ({ request }) => {
			const key = await stack.services.artifacts.payloads.put(Buffer.alloc(200_000, 7));
			expect(request.body).toMatchObject({ sizeBytes: 100_000 });
			return ended("succeeded", {}, { body: { payload: key, sizeBytes: 200_000 } });
		});
		const answer = await invoke(Buffer.alloc(100_000, 255), { "content-type": "application/octet-stream" });
		expect((await answer.arrayBuffer()).byteLength).toBe(200_000);
		await expect.poll(payloads).toEqual([]);
	});

	test("in the background is 202 with the place of its record", async () => {
		stack.onInvocation(async () => ended("succeeded", {}, { body: { text: '{"done":true}' }, contentType: "application/json" }));
		const answer = await invoke("{}", { prefer: "wait=1, Respond-Async" });
		expect(answer.status).toBe(202);
		expect(answer.headers.get("preference-applied")).toBe("respond-async");
		const location = answer.headers.get("location") ?? "";
		const record = async () => (await stack.fetch(location)).json();
		await expect
			.poll(record)
			.toMatchObject({ state: "settled", outcome: "succeeded", attempt: 1, result: { json: { done: true } }, logs: [] });
	});

	test("whose result calls itself JSON and can't be written as such has it as text in its record", async () => {
		const text = "[".repeat(20_000) + "]".repeat(20_000);
		stack.onInvocation(async () => ended("succeeded", {}, { body: { text }, contentType: "application/json" }));
		const location = (await invoke("{}", { prefer: "respond-async" })).headers.get("location") ?? "";
		await expect.poll(async () => (await stack.fetch(location)).json()).toMatchObject({ state: "settled", result: { text } });
	});

	test.each(["0", "9", "-5", "1e3", "abc", ""])("with the timeout %j is refused", async (timeout) => {
		const answer = await invoke("{}", { "berth-timeout-ms": timeout });
		expect(answer.status).toBe(400);
		expect(await answer.json()).toMatchObject({ code: "invalid_request", issues: [{ field: "berth-timeout-ms" }] });
	});

	test("may shorten its function's timeout and not lengthen it", async () => {
		expect((await seenBy("/fn/default/open", { headers: { "berth-timeout-ms": "500" } })).timeoutMs).toBe(500);
		for (const longer of ["999999", "99999999999", "9".repeat(400)]) {
			expect((await seenBy("/fn/default/open", { headers: { "berth-timeout-ms": longer } })).timeoutMs).toBe(30_000);
		}
	});
});

describe("a failed attempt", () => {
	test("of a body that its handler can't be given whole was none: no outcome, but the limit, and no class of ours", async () => {
		const error = { name: "BerthError", message: "the body may have 6 MiB at most" };
		stack.onInvocation(async () => ended("cancelled", { code: "body_too_large", error }));
		const answer = await invoke("{}");
		expect([answer.status, answer.headers.get("berth-outcome")]).toEqual([413, null]);
		const problem = (await answer.json()) as object;
		expect(problem).toMatchObject({ code: "body_too_large", detail: error.message, limitBytes: 6 * 1024 * 1024 });
		expect(problem).not.toHaveProperty("outcome");
	});

	test.each(OUTCOMES.filter((outcome) => outcome !== "succeeded"))("%s has its status, and its record's place", async (outcome) => {
		stack.onInvocation(async () => ended(outcome, { error: { name: "TypeError", message: "no", stack: "at a.ts:1:1" } }));
		const answer = await invoke("{}");
		const id = answer.headers.get("berth-invocation-id");
		expect(answer.status).toBe(ERRORS[outcome].status);
		expect(answer.headers.get("content-type")).toBe("application/problem+json");
		expect(await answer.json()).toMatchObject({
			type: `urn:berth:error:${outcome}`,
			title: ERRORS[outcome].title,
			status: ERRORS[outcome].status,
			detail: outcome === "cancelled" ? "cancelled by request; it ended with TypeError: no" : "TypeError: no",
			instance: `/v1/invocations/${id}`,
			code: outcome,
			outcome,
			error: { stack: "at a.ts:1:1" },
		});
		expect(await (await stack.fetch(`/v1/invocations/${id}`)).json()).toMatchObject({ outcome });
	});

	test("of a public function doesn't tell strangers what went wrong in it", async () => {
		stack.onInvocation(async () => ended("handler_error", { error: { name: "Error", message: "password is hunter2" } }));
		const text = await (await fetch(`${stack.url}/fn/default/open`)).text();
		expect(text).not.toContain("hunter2");
		expect(JSON.parse(text)).toMatchObject({ code: "handler_error", status: 502 });
	});
});

describe("an HTTP request to a function", () => {
	test.each(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])("%s reaches it", async (method) => {
		const seen = await seenBy("/fn/default/open/x", { method });
		expect(seen.trigger).toMatchObject({ kind: "http", request: { method, url: "/x" } });
	});

	test("HEAD is answered without a body, as long as it would be", async () => {
		stack.onInvocation(responding({ status: 200, headers: [["x-a", "1"]] }, "hello"));
		const answer = await stack.fetch("/fn/default/open", { method: "HEAD" });
		expect([answer.status, answer.headers.get("x-a"), answer.headers.get("content-length")]).toEqual([200, "1", "5"]);
	});

	test.each([
		["", "/"],
		["/", "/"],
		["?a=1&a=2", "/?a=1&a=2"],
		["/a%2Fb", "/a%2Fb"],
		["/%E2%82%AC/x%20y?q=%26%3D", "/%E2%82%AC/x%20y?q=%26%3D"],
		["//double//slash/", "//double//slash/"],
		["/fn/default/open", "/fn/default/open"],
		["/x?next=/fn/a/b", "/x?next=/fn/a/b"],
	])("%j below it is %j to it, undecoded", async (path, url) => {
		expect((await seenBy(`/fn/default/open${path}`)).trigger).toMatchObject({ request: { url } });
	});

	test("a target in a proxy's form is the same", async () => {
		let url: unknown;
		stack.onInvocation(async ({ request: { trigger } }) => {
			url = trigger.kind === "http" ? trigger.request.url : undefined;
			return ended("succeeded", {}, { body: { text: "" }, response: { status: 200, headers: [] } });
		});
		const { port } = new URL(stack.url);
		const sent = httpRequest({ port, path: "http://example.org/fn/default/open/a?b" }).end();
		const [answer] = await once(sent, "response");
		answer.resume();
		expect(url).toBe("/a?b");
	});

	test("its headers arrive but for those of the connection and our key; where it came from is added", async () => {
		const { trigger } = await seenBy("/fn/default/hello", {
			method: "POST",
			body: "x",
			headers: {
				"x-forwarded-for": "10.9.9.9",
				"x-forwarded-host": "forged.example",
				forwarded: "for=10.9.9.9",
				te: "trailers",
				"x-custom": "kept",
				cookie: "a=1",
			},
		});
		const pairs = trigger.kind === "http" ? trigger.request.headers : [];
		const names = pairs.map(([name]) => name);
		for (const name of ["connection", "te", "expect", "transfer-encoding", "authorization", "keep-alive", "x-forwarded-host", "forwarded"])
			expect(names).not.toContain(name);
		expect(Object.fromEntries(pairs)).toMatchObject({
			"x-custom": "kept",
			cookie: "a=1",
			"x-forwarded-for": "127.0.0.1",
			"x-forwarded-proto": "http",
			host: new URL(stack.url).host,
		});
	});

	test("headers that Connection lists stay behind", async () => {
		let names: string[] = [];
		stack.onInvocation(async ({ request: { trigger } }) => {
			names = trigger.kind === "http" ? trigger.request.headers.map(([name]) => name) : [];
			return ended("succeeded", {}, { body: { text: "" }, response: { status: 200, headers: [] } });
		});
		const { port } = new URL(stack.url);
		const sent = httpRequest({ port, path: "/fn/default/open", headers: { connection: "close, x-hop", "x-hop": "1", "x-end": "1" } }).end();
		const [answer] = await once(sent, "response");
		answer.resume();
		expect(names).toContain("x-end");
		expect(names).not.toContain("x-hop");
	});

	test("authorization is a public function's to see", async () => {
		const { trigger } = await seenBy("/fn/default/open", { headers: { authorization: "Basic abc" } });
		expect(trigger).toMatchObject({ request: { headers: expect.arrayContaining([["authorization", "Basic abc"]]) } });
	});

	test("status, headers and body come back; what a function mustn't say is left out", async () => {
		const headers = [
			["content-type", "text/plain"],
			["set-cookie", "a=1"],
			["set-cookie", "b=2"],
			["berth-outcome", "forged"],
			["content-length", "999"],
			["transfer-encoding", "chunked"],
			["bad\r\nname", "x"],
			["x-bad", "a\r\nx-injected: 1"],
		] as const;
		stack.onInvocation(responding({ status: 418, headers }, "tea"));
		const answer = await fetch(`${stack.url}/fn/default/open`);
		expect([answer.status, await answer.text(), answer.headers.getSetCookie()]).toEqual([418, "tea", ["a=1", "b=2"]]);
		expect(answer.headers.get("berth-outcome")).toBe("succeeded");
		expect(answer.headers.get("x-injected")).toBeNull();
	});

	test.each([204, 205, 304])("%i has no body, and the connection goes on", async (status) => {
		stack.onInvocation(responding({ status, headers: [] }, "not to be sent"));
		const answer = await fetch(`${stack.url}/fn/default/open`);
		expect([answer.status, await answer.text()]).toEqual([status, ""]);
		stack.onInvocation(responding({ status: 200, headers: [] }, "next"));
		expect(await (await fetch(`${stack.url}/fn/default/open`)).text()).toBe("next");
	});

	test.each([0, 100, 101, 199, 600, 1000, 200.5])("the status %d is the function's error", async (status) => {
		stack.onInvocation(responding({ status, headers: [] }));
		const answer = await fetch(`${stack.url}/fn/default/open`);
		expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([502, "handler_error"]);
	});
});

describe("a caller that goes away", () => {
	test("has its function told, and the record says what happened", async () => {
		const began = Promise.withResolvers<string>();
		const told = Promise.withResolvers<void>();
		stack.onInvocation(async ({ request, cancelled }) => {
			cancelled.addEventListener("abort", () => told.resolve());
			began.resolve(request.id);
			await told.promise;
			return ended("cancelled");
		});
		const leave = new AbortController();
		const answer = stack.fetch("/v1/functions/hello/invocations", { method: "POST", body: "x".repeat(100_000), signal: leave.signal });
		answer.catch(() => undefined);
		const id = await began.promise;
		leave.abort();
		await told.promise;
		await expect.poll(async () => (await stack.fetch(`/v1/invocations/${id}`)).json()).toMatchObject({ outcome: "cancelled" });
		await expect.poll(payloads).toEqual([]);
	});
});

describe("a disk that is used up", () => {
	const ROOM = 200_000;

	test("by what waits to be run refuses more of it with 507, accepts none, and takes what needs no room", async () => {
		const budgets = { queuedBytes: ROOM, requestBytes: ROOM, resultBytes: ROOM, logBytes: ROOM, deliveryBytes: ROOM };
		await using small = await startOwnStack({ hello: {} }, { budgets });
		small.onInvocation(() => new Promise(() => undefined));
		const send = (bytes: number, headers: Record<string, string> = { prefer: "respond-async" }) =>
			small.fetch("/v1/functions/hello/invocations", { method: "POST", body: Buffer.alloc(bytes, "1"), headers });
		const accepted = [await send(100_000), await send(100_000)];
		expect(accepted.map(({ status }) => status)).toEqual([202, 202]);
		const refused = await send(100_000);
		expect([refused.status, refused.headers.get("retry-after")]).toEqual([507, "1"]);
		expect(await refused.json()).toMatchObject({ code: "storage_full", fault: "platform", retryable: true });
		expect((await small.services.invocations.backgroundTotals()).accepted).toBe(2);
		expect(readdirSync(join(small.directory, "queued"))).toHaveLength(2);
		expect((await send(10)).status).toBe(202);
		small.onInvocation(async () => ended("succeeded", {}, { body: { text: "1" } }));
		expect((await send(100_000, {})).status).toBe(200);
	});

	test("of logs and results takes the oldest, and their records say so", async () => {
		const { artifacts } = stack.services;
		const bodies = { result: await artifacts.results.put(Buffer.from("[1]")), logs: await artifacts.logs.put(Buffer.from("[]")) };
		stack.onInvocation(async () => ({
			...ended("succeeded", {}, { body: { payload: bodies.result, sizeBytes: 3 }, contentType: "application/json" }),
			logs: { payload: bodies.logs, truncated: false },
		}));
		const location = (await invoke("{}", { prefer: "respond-async" })).headers.get("location") ?? "";
		const record = async () => (await stack.fetch(location)).json() as Promise<InvocationAnswer>;
		await expect.poll(record).toMatchObject({ state: "settled", result: { json: [1] }, logs: [] });
		expect(await record()).not.toHaveProperty("removed");
		await artifacts.logs.remove(bodies.logs);
		expect(await record()).toMatchObject({ removed: ["logs"], result: { json: [1] }, logs: [] });
		await artifacts.results.remove(bodies.result);
		expect(await record()).toMatchObject({ removed: ["logs", "result"], outcome: "succeeded" });
		expect(await record()).not.toHaveProperty("result");
	});
});

describe("too much at once", () => {
	/** A gateway with so many places, whose invocations end when the test says so; those that have begun. */
	async function startSmall(maxInflight: number) {
		const small = await startOwnStack({}, { maxInflight });
		const began: string[] = [];
		const end = Promise.withResolvers<void>();
		small.onInvocation(async ({ request }) => {
			began.push(request.function);
			await end.promise;
			return ended("succeeded", {}, { body: { text: "1" } });
		});
		const send = (name: string) => small.fetch(`/v1/functions/${name}/invocations`, { method: "POST", body: "{}" });
		const refusal = async (name: string) => {
			const refused = await send(name);
			return [refused.status, refused.headers.get("retry-after"), ((await refused.json()) as { code: string }).code];
		};
		const close = async () => {
			end.resolve();
			await small.close();
		};
		return { small, began, end, send, refusal, [Symbol.asyncDispose]: close };
	}

	test("of one function is 429 with Retry-After, the others have room, and what was refused is never run", async () => {
		await using gateway = await startSmall(4);
		const { small, began, end, send, refusal } = gateway;
		for (const name of ["floods", "other"]) await small.deploy(name);
		const admitted = [send("floods"), send("floods"), send("floods")];
		await expect.poll(() => began.length).toBe(3);
		expect(await refusal("floods")).toEqual([429, "1", "too_busy"]);
		const beside = send("other");
		await expect.poll(() => began.at(-1)).toBe("other");
		end.resolve();
		for (const answer of await Promise.all([...admitted, beside])) expect(answer.status).toBe(200);
		expect(began).toEqual(["floods", "floods", "floods", "other"]);
		expect(await small.services.metrics.registry.metrics()).toContain('berth_refused_total{lane="interactive",reason="share"} 1');
	});

	test("of a gateway that stops, and has waited for it, is 502 with Retry-After: it may have begun", async () => {
		await using gateway = await startSmall(4);
		const { small, began, refusal } = gateway;
		await small.deploy("slow");
		const told = refusal("slow");
		await expect.poll(() => began).toEqual(["slow"]);
		await small.services.invocations.giveUp();
		expect(await told).toEqual([502, "1", "worker_lost"]);
	});

	test("for all places is 503 with Retry-After, before a body is sent", async () => {
		await using gateway = await startSmall(1);
		const { small, began, end, send, refusal } = gateway;
		for (const name of ["first", "second"]) await small.deploy(name);
		const first = send("first");
		await expect.poll(() => began).toEqual(["first"]);
		expect(await refusal("second")).toEqual([503, "1", "node_full"]);
		end.resolve();
		expect((await first).status).toBe(200);
		expect((await send("second")).status).toBe(200);
	});
});
