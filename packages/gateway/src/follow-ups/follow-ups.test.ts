import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { CallbackSecret, InvocationAnswer, InvocationRequest } from "@berth/contracts";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "../testing/own-stack.js";
import { ended } from "../testing/settlements.js";

let stack: OwnStack;
let receiver: Server;
let url: string;
let received: { readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];
/** What the receiver answers; default 204. */
let answering: RequestListener | undefined;

beforeAll(async () => {
	receiver = createServer(async (request, response) => {
		received.push({ headers: request.headers, body: (await buffer(request)).toString() });
		if (answering === undefined) response.writeHead(204).end();
		else answering(request, response);
	});
	await once(receiver.listen(0, "127.0.0.1"), "listening");
	const host = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;
	url = `http://${host}/done`;
	stack = await startOwnStack({ work: {}, after: {} }, { callbackHosts: [host] });
});
afterEach(() => {
	received = [];
	answering = undefined;
});
afterAll(async () => {
	await stack?.close();
	receiver?.close();
});

const succeed = () =>
	stack.onInvocation(async () => ended("succeeded", {}, { body: { text: '{"n":1}' }, contentType: "application/json" }));

async function invoke(path: string, headers: Record<string, string> = {}): Promise<{ status: number; body: Record<string, unknown> }> {
	const answer = await stack.fetch(`/v1/functions/${path}`, {
		method: "POST",
		headers: { prefer: "respond-async", "content-type": "application/json", ...headers },
		body: '{"order":7}',
	});
	return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

async function accepted(path: string, headers: Record<string, string> = {}): Promise<string> {
	const { status, body } = await invoke(path, headers);
	expect(status).toBe(202);
	return String(body["id"]);
}

const recordOf = async (id: string) => (await (await stack.fetch(`/v1/invocations/${id}`)).json()) as InvocationAnswer;
const secretOf = async (rotate = false) =>
	(await (
		await stack.fetch(`/v1/callback-secret${rotate ? "/rotate" : ""}`, { method: rotate ? "POST" : "GET" })
	).json()) as CallbackSecret;

describe("a callback", () => {
	test("has the settlement, signed so that npm's standardwebhooks verifies it, and the record says that it arrived", async () => {
		succeed();
		const id = await accepted("work/invocations", { "berth-callback-url": url });
		await expect.poll(() => received.length).toBe(1);
		const [{ headers, body }] = received as [(typeof received)[number]];
		const { secret } = await secretOf();
		const message = new Webhook(secret).verify(body, headers as Record<string, string>);
		expect(message).toMatchObject({
			type: "invocation.settled",
			data: { id, function: "work", version: 1, state: "settled", outcome: "succeeded", attempt: 1, result: { json: { n: 1 } } },
		});
		expect(headers["webhook-id"]).toBe(id);
		await expect.poll(async () => (await recordOf(id)).callback).toMatchObject({ state: "delivered", attempts: 1, lastStatus: 204, url });
		expect(await stack.services.outbox.size()).toBe(0);
	});

	test("goes on with the trace of its invocation, with every try, and so does the function that is given the settlement", async () => {
		const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
		await stack.deploy("traced", { background: { onSuccess: "after" } });
		const ran: InvocationRequest[] = [];
		stack.onInvocation(async ({ request }) => {
			ran.push(request);
			return ended("succeeded");
		});
		answering = (_request, response) => response.writeHead(500).end();
		const trace = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, tracestate: "rojo=1" };
		const id = await accepted("traced/invocations", { ...trace, "berth-callback-url": url });
		await expect.poll(async () => (await recordOf(id)).callback?.attempts).toBe(1);
		answering = undefined;
		await stack.fetch(`/v1/invocations/${id}/callback`, { method: "POST" });
		await expect.poll(() => received.length).toBe(2);
		await expect.poll(() => ran.length).toBe(2);
		const own = ran.find((one) => one.id === id)?.trace;
		expect(own).toEqual({
			traceparent: expect.stringMatching(`^00-${traceId}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`),
			tracestate: "rojo=1",
		});
		for (const { headers } of received) expect(headers).toMatchObject({ ...own });
		expect(ran.find((one) => one.id !== id)?.trace?.traceparent).toContain(traceId);
		await expect.poll(async () => (await recordOf(id)).callback?.state).toBe("delivered");
	});

	test("is tried again later when its receiver fails, may be sent again by hand, and is given up at 410", async () => {
		succeed();
		answering = (_request, response) => response.writeHead(500).end("x".repeat(200_000));
		const id = await accepted(`work/invocations?callbackUrl=${encodeURIComponent(url)}`);
		await expect.poll(async () => (await recordOf(id)).callback).toMatchObject({ state: "waiting", attempts: 1, lastStatus: 500 });
		expect(Date.parse((await recordOf(id)).callback?.nextAt ?? "")).toBeGreaterThan(Date.now());
		answering = (_request, response) => response.writeHead(503, { "retry-after": "7200" }).end();
		expect((await stack.fetch(`/v1/invocations/${id}/callback`, { method: "POST" })).status).toBe(202);
		await expect.poll(async () => (await recordOf(id)).callback).toMatchObject({ attempts: 2, lastStatus: 503 });
		expect(Date.parse((await recordOf(id)).callback?.nextAt ?? "")).toBeGreaterThan(Date.now() + 7_000_000);
		answering = (_request, response) => response.writeHead(410).end();
		await stack.fetch(`/v1/invocations/${id}/callback`, { method: "POST" });
		await expect.poll(async () => (await recordOf(id)).callback).toMatchObject({ state: "failed", attempts: 3, lastStatus: 410 });
		expect(await stack.services.outbox.size()).toBe(0);
		answering = undefined;
		await stack.fetch(`/v1/invocations/${id}/callback`, { method: "POST" });
		await expect.poll(async () => (await recordOf(id)).callback).toMatchObject({ state: "delivered", attempts: 4 });
		expect(new Set(received.map(({ headers }) => headers["webhook-id"]))).toEqual(new Set([id]));
	});

	test("of a project that is removed before it is sent fails: nobody is left whose secret would sign it", async () => {
		const settle = Promise.withResolvers<void>();
		stack.onInvocation(async () => {
			await settle.promise;
			return ended("succeeded", {}, { body: { text: "{}" }, contentType: "application/json" });
		});
		const id = await accepted("work/invocations", { "berth-callback-url": url });
		await stack.redis.client(async (redis) => {
			await redis.del("{berth}:callback-secret:default");
			await redis.hset("{berth}:removed-projects", "default", "now");
			try {
				settle.resolve();
				const failed = { state: "failed", lastError: expect.stringContaining("project was removed") };
				await expect.poll(async () => (await recordOf(id)).callback).toMatchObject(failed);
				expect(await redis.exists("{berth}:callback-secret:default")).toBe(0);
			} finally {
				await redis.hdel("{berth}:removed-projects", "default");
			}
		});
		expect(received).toEqual([]);
		expect(await stack.services.outbox.size()).toBe(0);
	});

	test("that nobody answers leaves room for what follows, and is sent when there is", async () => {
		succeed();
		await stack.deploy("chained", { background: { onSuccess: "after" } });
		const held: ServerResponse[] = [];
		answering = (_request, response) => void held.push(response);
		const silent = await Promise.all(Array.from({ length: 24 }, () => accepted("work/invocations", { "berth-callback-url": url })));
		await expect.poll(() => held.length).toBe(8);
		const id = await accepted("chained/invocations");
		await expect.poll(async () => (await recordOf(id)).follower?.state).toBe("delivered");
		expect(held).toHaveLength(8);
		answering = undefined;
		for (const response of held) response.writeHead(204).end();
		const states = () => Promise.all(silent.map(async (one) => (await recordOf(one)).callback?.state));
		await expect.poll(states, { timeout: 10_000 }).toEqual(silent.map(() => "delivered"));
	});

	test("follows no redirect", async () => {
		succeed();
		answering = (_request, response) => response.writeHead(302, { location: url }).end();
		const id = await accepted("work/invocations", { "berth-callback-url": url });
		await expect.poll(async () => (await recordOf(id)).callback?.lastError).toBe("it answered 302: redirects aren't followed");
		expect(received).toHaveLength(1);
	});

	test("of the manifest's is for every background invocation, also a dead one; a result above 256 KiB is named by its place", async () => {
		await stack.deploy("reports", { background: { callbackUrl: url } });
		stack.onInvocation(async () => ended("succeeded", {}, { body: { text: "x".repeat(300_000) } }));
		const id = await accepted("reports/invocations");
		await expect.poll(() => received.length).toBe(1);
		const { data } = JSON.parse(received[0]?.body ?? "") as { data: Record<string, unknown> };
		expect(data).toMatchObject({ id, result: { location: `/v1/invocations/${id}` } });
	});

	test("is signed with both secrets for a day when one was rotated", async () => {
		succeed();
		const before = await secretOf();
		const after = await secretOf(true);
		expect(after.secret).not.toBe(before.secret);
		expect(Date.parse(after.previousUntil ?? "")).toBeGreaterThan(Date.now() + 86_000_000);
		await accepted("work/invocations", { "berth-callback-url": url });
		await expect.poll(() => received.length).toBe(1);
		const [{ headers, body }] = received as [(typeof received)[number]];
		for (const { secret } of [before, after]) new Webhook(secret).verify(body, headers as Record<string, string>);
		expect(() => new Webhook(`whsec_${Buffer.alloc(32).toString("base64")}`).verify(body, headers as Record<string, string>)).toThrow();
	});

	test("is signed with every secret that was promised, and a rotation that would break a promise is refused", async () => {
		succeed();
		const rotate = (init: object = {}) => stack.fetch("/v1/callback-secret/rotate", { method: "POST", ...init });
		const secrets = [await secretOf()];
		// Two at the same time: neither is told to come again.
		const both = await Promise.all([rotate(), rotate()]);
		for (const one of both) secrets.push((await one.json()) as CallbackSecret);
		expect(both.map(({ status }) => status)).toEqual([200, 200]);
		let refused = await rotate();
		for (; refused.ok && secrets.length < 10; refused = await rotate()) secrets.push((await refused.json()) as CallbackSecret);
		expect([refused.status, await refused.json()]).toMatchObject([400, { detail: expect.stringContaining("rotated again after") }]);
		expect((await secretOf()).secret).toBe(secrets.at(-1)?.secret);
		await accepted("work/invocations", { "berth-callback-url": url });
		await expect.poll(() => received.length).toBe(1);
		const [{ headers, body }] = received as [(typeof received)[number]];
		for (const { secret } of secrets) new Webhook(secret).verify(body, headers as Record<string, string>);
		expect((await rotate({ body: '{"nwo":true}', headers: { "content-type": "application/json" } })).status).toBe(400);
	});

	test("to what isn't public is refused before anything is accepted, and the field is named", async () => {
		const refused = [
			"http://example.com/",
			"https://127.0.0.1/",
			"https://2130706433/",
			"https://[::1]/",
			"https://[::ffff:10.0.0.1]/",
			"https://[64:ff9b::a00:1]/",
			"https://169.254.169.254/latest",
			"https://100.64.0.1/",
			"https://localhost/",
			"https://a:b@example.com/",
			"ftp://example.com/",
			"nonsense",
		];
		for (const bad of refused) {
			const { status, body } = await invoke("work/invocations", { "berth-callback-url": bad });
			expect([bad, status, body["issues"]]).toMatchObject([bad, 400, [{ field: "berth-callback-url" }]]);
		}
		const sync = await invoke("work/invocations", { "berth-callback-url": url, prefer: "" });
		expect(sync).toMatchObject({ status: 400, body: { issues: [{ field: "berth-callback-url" }] } });
		const deployed = await stack.fetch("/v1/functions/bad", {
			method: "PUT",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ source: "export default () => 1", background: { callbackUrl: "https://10.0.0.1/" } }),
		});
		expect(await deployed.json()).toMatchObject({ code: "invalid_manifest", issues: [{ field: "background.callbackUrl" }] });
	});
});

describe("a function that follows", () => {
	test("gets what was asked and what came of it, as an invocation of its own that knows where it comes from", async () => {
		await stack.deploy("first", { background: { onSuccess: "after", onFailure: "after@live" } });
		const seen: InvocationRequest[] = [];
		stack.onInvocation(async ({ request, attempt }) => {
			seen.push(request);
			return request.function === "first"
				? ended("succeeded", { attempt }, { body: { text: '{"paid":true}' }, contentType: "application/json" })
				: ended("succeeded", { attempt });
		});
		const id = await accepted("first/invocations");
		await expect.poll(() => seen.length).toBe(2);
		const [, follower] = seen as [InvocationRequest, InvocationRequest];
		expect(follower).toMatchObject({ function: "after", depth: 1, source: "function", parent: { id, function: "first" } });
		expect(JSON.parse("text" in follower.body ? follower.body.text : "")).toMatchObject({
			invocation: { id, function: "first", outcome: "succeeded" },
			request: { contentType: "application/json", json: { order: 7 } },
			result: { json: { paid: true } },
		});
		await expect
			.poll(async () => (await recordOf(id)).follower)
			.toMatchObject({ function: "after", state: "delivered", attempts: 1, invocation: follower.id });
	});

	test("of what was given up gets its error; a circle ends", async () => {
		await stack.deploy("circle", { background: { onSuccess: "circle", onFailure: "after" } });
		const seen: InvocationRequest[] = [];
		stack.onInvocation(async ({ request, attempt }) => {
			seen.push(request);
			return ended("succeeded", { attempt });
		});
		await accepted("circle/invocations");
		await expect.poll(() => seen.length).toBe(9);
		const last = seen.at(-1) as InvocationRequest;
		expect(last.depth).toBe(8);
		await expect.poll(async () => (await recordOf(last.id)).follower?.lastError).toMatch(/^too_deep: /);
		seen.length = 0;
		stack.onInvocation(async ({ request, attempt }) => {
			seen.push(request);
			return request.function === "circle"
				? ended("response_too_large", { attempt, error: { name: "Error", message: "much" } })
				: ended("succeeded", { attempt });
		});
		const id = await accepted("circle/invocations");
		await expect.poll(() => seen.length).toBe(2);
		const { body } = seen[1] as InvocationRequest;
		expect(JSON.parse("text" in body ? body.text : "")).toMatchObject({
			invocation: { id, outcome: "response_too_large" },
			error: { name: "Error", message: "much" },
		});
	});

	test("has to be there at the deploy; that it is gone later is in the record", async () => {
		const deploy = (onSuccess: string) =>
			stack.fetch("/v1/functions/loose?wait=true", {
				method: "PUT",
				headers: { "content-type": "application/json" },
				body: JSON.stringify({ source: "export default () => 1", background: { onSuccess } }),
			});
		for (const bad of ["nobody", "after@nowhere", "after@3", "No"]) {
			const answer = await deploy(bad);
			expect([bad, await answer.json()]).toMatchObject([bad, { code: "invalid_manifest", issues: [{ field: "background.onSuccess" }] }]);
		}
		await stack.deploy("soon-gone");
		expect((await deploy("soon-gone")).status).toBe(201);
		expect((await stack.fetch("/v1/functions/soon-gone", { method: "DELETE" })).status).toBe(204);
		succeed();
		const id = await accepted("loose/invocations");
		await expect
			.poll(async () => (await recordOf(id)).follower)
			.toMatchObject({ state: "failed", lastError: expect.stringMatching(/^function_not_found/) });
	});
});
