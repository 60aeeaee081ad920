import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { RedisServer, SlowProxy } from "@berth/redis/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ended } from "../testing/settlements.js";
import { type Stack, startStack } from "../testing/stack.js";

let redis: RedisServer;
let way: SlowProxy;
let stack: Stack;
let runs = 0;

beforeAll(async () => {
	redis = await RedisServer.start();
	way = await SlowProxy.before(redis.url.slice("unix://".length));
	stack = await startStack(`redis://127.0.0.1:${way.port}`);
	await stack.deploy("pay");
});
beforeEach(() => {
	runs = 0;
	stack.onInvocation(async ({ attempt }) => {
		runs++;
		return ended("succeeded", { attempt }, { body: { text: `{"run":${runs}}` }, contentType: "application/json" });
	});
});
afterAll(async () => {
	await stack?.close();
	await way?.[Symbol.asyncDispose]();
	await redis?.[Symbol.asyncDispose]();
});

let count = 0;
const newKey = () => `key-${count++}`;

async function send(
	key: string | undefined,
	{
		path = "pay/invocations",
		body = '{"n":1}',
		headers = {} as Record<string, string>,
		signal = undefined as AbortSignal | undefined,
	} = {},
) {
	const answer = await stack.fetch(`/v1/functions/${path}`, {
		method: "POST",
		body,
		headers: { "content-type": "application/json", ...(key === undefined ? {} : { "idempotency-key": key }), ...headers },
		...(signal === undefined ? {} : { signal }),
	});
	return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

const LATER = { headers: { prefer: "respond-async" } };

/** As if the gateway that serves the request of this key had died long ago. */
async function expire(): Promise<void> {
	await redis.client(async (client) => {
		for (const key of await client.keys("{berth}:idempotency:*"))
			if ((await client.hexists(key, "until")) === 1) await client.hset(key, "until", 0);
	});
}

describe("a repetition", () => {
	test("gets status, headers and body of the first answer, and nothing runs again; also of a failure, and of what was sent in quotes", async () => {
		const key = newKey();
		const first = await send(key);
		const again = await send(`"${key}"`);
		expect([first.status, first.text, first.headers.get("idempotency-replayed")]).toEqual([200, '{"run":1}', null]);
		expect([again.status, again.text, again.headers.get("idempotency-replayed")]).toEqual([200, '{"run":1}', "true"]);
		for (const name of ["berth-invocation-id", "content-type", "berth-outcome"])
			expect(again.headers.get(name)).toBe(first.headers.get(name));
		expect(runs).toBe(1);
		stack.onInvocation(async () => {
			runs++;
			return ended("handler_error", { error: { name: "Error", message: `of run ${runs}` } });
		});
		const failing = newKey();
		const failed = await send(failing);
		const once = await send(failing);
		expect([failed.status, once.status, once.text]).toEqual([502, 502, failed.text]);
		expect(runs).toBe(2);
	});

	test("in the background gets the same 202 with the same id", async () => {
		const key = newKey();
		const first = await send(key, LATER);
		const again = await send(key, LATER);
		expect([first.status, again.status, again.text]).toEqual([202, 202, first.text]);
		expect(again.headers.get("location")).toBe(first.headers.get("location"));
		await expect.poll(() => runs).toBe(1);
	});

	test("while the first runs is 409, and says when to come again", async () => {
		const key = newKey();
		const [began, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
		stack.onInvocation(async () => {
			began.resolve();
			await go.promise;
			return ended("succeeded", {}, { body: { text: "done" } });
		});
		const first = send(key);
		await began.promise;
		const second = await send(key);
		expect([second.status, JSON.parse(second.text).code, second.headers.get("retry-after")]).toEqual([409, "idempotency_in_progress", "1"]);
		go.resolve();
		expect((await first).text).toBe("done");
		expect((await send(key)).text).toBe("done");
	});

	test("with another body, path, way or function is 422, and runs nothing", async () => {
		const key = newKey();
		await send(key);
		await stack.deploy("other");
		const others = [await send(key, { body: '{"n":2}' }), await send(key, LATER), await send(key, { path: "other/invocations" })];
		const delayed = newKey();
		const runAt = (time: string) => ({ headers: { ...LATER.headers, "berth-run-at": time } });
		const first = await send(delayed, runAt("2020-01-01T00:00:00Z"));
		expect(first.status).toBe(202);
		others.push(await send(delayed, runAt("2020-01-02T00:00:00Z")));
		for (const { status, text } of others) expect([status, JSON.parse(text).code]).toEqual([422, "idempotency_mismatch"]);
		await expect.poll(() => runs).toBe(2);
	});

	test("gets the answer that its client didn't wait for: what has a key isn't given up with its connection", async () => {
		const key = newKey();
		const began = Promise.withResolvers<void>();
		const go = Promise.withResolvers<void>();
		let isCancelled = false;
		stack.onInvocation(async ({ cancelled }) => {
			runs++;
			cancelled.addEventListener("abort", () => {
				isCancelled = true;
			});
			began.resolve();
			await go.promise;
			return ended("succeeded", {}, { body: { text: `run ${runs}` } });
		});
		const gone = new AbortController();
		const closed = once(stack.server, "request").then(([, response]) => once(response, "close"));
		const first = send(key, { signal: gone.signal }).catch((error: Error) => error.name);
		await began.promise;
		gone.abort();
		expect(await first).toBe("AbortError");
		await closed;
		go.resolve();
		await expect.poll(async () => (await send(key)).text).toBe("run 1");
		expect([runs, isCancelled]).toEqual([1, false]);
	});

	test("gets answers up to 256 KiB whole; of a larger one it is said that there was one", async () => {
		const key = newKey();
		stack.onInvocation(async () => {
			runs++;
			return ended("succeeded", {}, { body: { text: "ü".repeat(30_000) }, contentType: "text/plain" });
		});
		expect((await send(key)).text).toBe("ü".repeat(30_000));
		expect((await send(key)).text).toBe("ü".repeat(30_000));
		stack.onInvocation(async () => {
			runs++;
			return ended(
				"succeeded",
				{},
				{ body: { payload: await stack.services.artifacts.payloads.put(Buffer.alloc(300_000)), sizeBytes: 300_000 } },
			);
		});
		const large = newKey();
		const first = await send(large);
		expect([first.status, first.text.length]).toEqual([200, 300_000]);
		const again = await send(large);
		expect([again.status, JSON.parse(again.text)]).toMatchObject([
			410,
			{ code: "idempotency_gone", invocation: first.headers.get("berth-invocation-id") },
		]);
		expect(runs).toBe(2);
	});
});

describe("a key", () => {
	test("that is none is 400, and the header is named", async () => {
		for (const bad of ["a b", '"', '""', "x".repeat(256), '"a\\b"']) {
			const { status, text } = await send(bad);
			expect([bad, status, JSON.parse(text).issues]).toMatchObject([bad, 400, [{ field: "idempotency-key" }]]);
		}
		expect(runs).toBe(0);
	});

	test("of what was refused before anything was done is free for another request", async () => {
		const key = newKey();
		expect((await send(key, { body: "{" })).status).toBe(400);
		expect((await send(key, { path: "nobody/invocations" })).status).toBe(404);
		expect((await send(key)).text).toBe('{"run":1}');
	});

	test("of a gateway that died blocks nobody for ever, and what it accepted in the background is no second invocation", async () => {
		const key = newKey();
		const { services } = stack;
		const enqueue = services.invocations.enqueue.bind(services.invocations);
		// What a death right after the durable write leaves: nothing was answered, and the key is held.
		const died = Promise.withResolvers<string>();
		services.invocations.enqueue = async (request) => {
			await enqueue(request);
			died.resolve(request.id);
			return await new Promise<never>(() => undefined);
		};
		const cut = new AbortController();
		void send(key, { ...LATER, signal: cut.signal }).catch(() => undefined);
		const id = await died.promise;
		services.invocations.enqueue = enqueue;
		expect((await send(key, LATER)).status).toBe(409);
		await expire();
		const again = await send(key, LATER);
		expect([again.status, JSON.parse(again.text).id]).toEqual([202, id]);
		await expect
			.poll(async () => (await (await stack.fetch(`/v1/invocations/${id}`)).json()) as object)
			.toMatchObject({ state: "settled" });
		expect(runs).toBe(1);
		cut.abort();
	});

	test("of what was accepted in doubt is that invocation's still: neither it nor its payload is taken back under who repeats it", async () => {
		const [key, body] = [newKey(), JSON.stringify("x".repeat(10_000))];
		const { services } = stack;
		// A gateway that hasn't accepted anything yet asks for the time first.
		await send(undefined, LATER);
		await expect.poll(() => runs).toBe(1);
		runs = 0;
		const payloads: number[] = [];
		stack.onInvocation(async ({ request }) => {
			runs++;
			payloads.push((await services.artifacts.queued.getBody(request.body)).length);
			return ended("succeeded", {}, { body: { text: "1" } });
		});
		await stack.deploy("doubtful");
		await stack.fetch("/v1/functions/doubtful/pause", { method: "POST" });
		const enqueue = services.invocations.enqueue.bind(services.invocations);
		const ids: string[] = [];
		const silent = Promise.withResolvers<void>();
		// Redis isn't heard any more from where the second of two is about to be accepted: it does what they asked, and nobody knows.
		services.invocations.enqueue = async (request, ...rest) => {
			ids.push(request.id);
			if (ids.length === 2) {
				way.holdAnswers();
				silent.resolve();
			}
			await silent.promise;
			return await enqueue(request, ...rest);
		};
		const path = "doubtful/invocations";
		const kept = send(key, { ...LATER, path, body });
		await expect.poll(() => ids.length).toBe(1);
		const [first, other] = await Promise.all([kept, send(undefined, { ...LATER, path, body })]);
		services.invocations.enqueue = enqueue;
		expect([first.status, other.status]).toEqual([503, 503]);
		way.passAnswers();
		await expire();
		const again = await send(key, { ...LATER, path, body });
		expect([again.status, JSON.parse(again.text).id]).toEqual([202, ids[0]]);
		// The other one is taken back after all that was to be before it.
		await expect.poll(() => services.invocations.record(ids[1] as string)).toBeUndefined();
		// And the payload that came with the repetition isn't needed.
		await expect.poll(() => readdirSync(join(stack.directory, "queued")).length).toBe(1);
		expect(await services.invocations.record(ids[0] as string)).toMatchObject({ state: "queued" });
		await stack.fetch("/v1/functions/doubtful/resume", { method: "POST" });
		await expect.poll(async () => (await services.invocations.record(ids[0] as string))?.state).toBe("settled");
		expect([runs, payloads]).toEqual([1, [body.length]]);
	});

	test("of what somebody waited for, and a server that fell silent may have taken, is answered as it was: it doesn't begin twice", async () => {
		await using durable = await RedisServer.start();
		await using fast = await RedisServer.start();
		await using silent = await SlowProxy.before(fast.url.slice("unix://".length));
		const apart = await startStack(durable.url, { fastUrl: `redis://127.0.0.1:${silent.port}` });
		try {
			await apart.deploy("pay");
			const ran: string[] = [];
			apart.onInvocation(async ({ request }) => {
				ran.push(request.id);
				return ended("succeeded", {}, { body: { text: "1" } });
			});
			const post = async (key: string) => {
				const headers = { "content-type": "application/json", "idempotency-key": key };
				const answer = await apart.fetch("/v1/functions/pay/invocations", { method: "POST", body: "1", headers });
				const [replayed, retryAfter] = ["idempotency-replayed", "retry-after"].map((name) => answer.headers.get(name));
				return { status: answer.status, replayed, retryAfter, text: await answer.text() };
			};
			expect((await post("before")).status).toBe(200);
			silent.holdAnswers();
			const first = await post("doubtful");
			// Asking again under the key brings nothing else: no client is told when to.
			expect([first.status, first.retryAfter, JSON.parse(first.text)]).toMatchObject([503, null, { code: "in_doubt" }]);
			silent.passAnswers();
			const after = () => post(newKey()).then(({ status }) => status);
			await expect.poll(after, { timeout: 10_000 }).toBe(200);
			expect(await post("doubtful")).toEqual({ ...first, replayed: "true" });
			const { invocation } = JSON.parse(first.text) as { invocation: string };
			expect(ran.filter((id) => id === invocation).length).toBeLessThan(2);
		} finally {
			await apart.close();
		}
	});

	test("is another one in another project's hands, and without one everything is as before", async () => {
		const claim = await stack.services.idempotency.claim("elsewhere", "shared", "x", "inv_1");
		expect(claim.kind).toBe("claimed");
		expect((await send("shared")).text).toBe('{"run":1}');
		expect((await send(undefined)).text).toBe('{"run":2}');
		expect((await send(undefined)).text).toBe('{"run":3}');
	});

	test("is for every POST that does something: a hook is made once", async () => {
		const key = newKey();
		const body = JSON.stringify({ scheme: "github", name: "gh" });
		const first = await send(key, { path: "pay/hooks", body });
		const again = await send(key, { path: "pay/hooks", body });
		expect([first.status, again.status, again.text]).toEqual([201, 201, first.text]);
		expect((await send(newKey(), { path: "pay/hooks", body })).status).toBe(409);
		// Its secret is shown with it, and not to whoever reads the Redis.
		const { secret } = JSON.parse(first.text) as { secret: string };
		const kept = await redis.client(async (client) =>
			Promise.all((await client.keys("{berth}:idempotency:*")).map((name) => client.hget(name, "answer"))),
		);
		expect(kept.join()).not.toContain(secret);
		expect(again.text).toContain(secret);
	});

	test("of ten at the same time lets one run", async () => {
		const key = newKey();
		const answers = await Promise.all(Array.from({ length: 10 }, () => send(key)));
		for (const { status } of answers) expect([200, 409]).toContain(status);
		expect(runs).toBe(1);
	});
});

test("a durable Redis that has no room for what is new takes no new key, and runs nothing; who asked before is answered", async () => {
	const known = newKey();
	expect((await send(known)).status).toBe(200);
	await redis.client(async (client) => {
		const used = Number(/used_memory:(\d+)/.exec(await client.info("memory"))?.[1]);
		await client.config("SET", "maxmemory", String(Math.round(used / 0.97)));
	});
	try {
		const key = newKey();
		await expect.poll(async () => (await send(newKey())).status).toBe(507);
		const ran = runs;
		const refused = await send(key);
		expect([refused.status, JSON.parse(refused.text).code, Number(refused.headers.get("retry-after"))]).toEqual([
			507,
			"storage_full",
			expect.any(Number),
		]);
		expect((await send(known)).headers.get("idempotency-replayed")).toBe("true");
		expect(runs).toBe(ran);
		await redis.client((client) => client.config("SET", "maxmemory", "0"));
		await expect.poll(async () => (await send(key)).status).toBe(200);
	} finally {
		await redis.client((client) => client.config("SET", "maxmemory", "0"));
	}
});
