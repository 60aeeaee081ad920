import type { NewApiKey, ProjectDetail } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { mirror } from "./testing/settlements.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ hello: {}, open: { public: true } });
	stack.onInvocation(mirror);
});
afterAll(() => stack?.close());

/** A project of a test's own: requests with a key of it. */
async function projectOf(name: string) {
	await stack.call("PUT", `/v1/projects/${name}`, undefined, 201);
	const init = { method: "POST", body: JSON.stringify({ name: "all", scopes: ["admin"] }), headers: { "berth-project": name } };
	const { key } = (await (await stack.fetch("/v1/keys", init)).json()) as NewApiKey;
	const send = (path: string, more: RequestInit = {}) =>
		fetch(stack.url + path, { ...more, headers: { authorization: `Bearer ${key}`, "content-type": "application/json" } });
	const deploy = (fn: string, manifest: object = {}) =>
		send(`/v1/functions/${fn}?wait=true`, { method: "PUT", body: JSON.stringify({ source: "export default () => 1", ...manifest }) });
	const set = (changes: object) => stack.call<ProjectDetail>("PATCH", `/v1/projects/${name}`, changes);
	return { send, deploy, set };
}

test("the operator sets quotas, the project sees them with what it uses, and the audit log has it", async () => {
	const { send, set, deploy } = await projectOf("seen");
	await deploy("one");
	expect(await set({ functions: 3, queued: "unlimited" })).toMatchObject({
		name: "seen",
		quotas: {
			functions: { limit: 3, own: true, used: 1 },
			requestsPerSecond: { limit: null, own: false },
			queued: { limit: null, own: true, used: 0 },
		},
	});
	expect(await (await send("/v1/projects/seen")).json()).toMatchObject({ quotas: { functions: { limit: 3 } } });
	expect((await set({ functions: null })).quotas.functions).toEqual({ limit: null, own: false, used: 1 });
	const { entries } = await stack.call<{ entries: object[] }>("GET", "/v1/audit");
	expect(entries).toContainEqual(
		expect.objectContaining({ method: "PATCH", path: "/v1/projects/seen", about: "functions 3, queued unlimited", status: 200 }),
	);
	// The project reads of it in its own log: that it was the operator, and nothing else of whom.
	const own = (await (await send("/v1/audit")).json()) as { entries: readonly { readonly path: string }[] };
	const changes = own.entries.filter(({ path }) => path === "/v1/projects/seen");
	expect(changes).toMatchObject([{ about: "functions default" }, { about: "functions 3, queued unlimited" }]);
	for (const change of changes)
		expect(change).toMatchObject({ key: { id: "operator", name: "operator" }, from: "operator", method: "PATCH", status: 200 });
});

test("a change that Redis may have made stays in the project's log, and one that stands is answered though its end can't be written there", async () => {
	const { send, set } = await projectOf("noted");
	const kept = async () => {
		const { entries } = (await (await send("/v1/audit")).json()) as { entries: readonly { readonly path: string }[] };
		return entries.filter(({ path }) => path === "/v1/projects/noted");
	};
	await set({ functions: 3 });
	await stack.redis.client(async (redis) => {
		await redis.rename("{berth}:quotas", "{berth}:quotas:kept");
		await redis.set("{berth}:quotas", "no hash");
	});
	try {
		await stack.call("PATCH", "/v1/projects/noted", { functions: 4 }, 503);
	} finally {
		await stack.redis.client((redis) => redis.rename("{berth}:quotas:kept", "{berth}:quotas"));
	}
	expect(await kept()).toMatchObject([{ about: "functions 4", status: 503 }, { about: "functions 3" }]);
	const { quotas } = stack.services.functions;
	const change = quotas.change.bind(quotas);
	quotas.change = async (...given) => {
		await change(...given);
		await stack.redis.client((redis) =>
			redis.multi().rename("{berth}:audit:noted", "{berth}:audit:kept").set("{berth}:audit:noted", "no stream").exec(),
		);
	};
	try {
		expect(await set({ functions: 5 })).toMatchObject({ quotas: { functions: { limit: 5 } } });
	} finally {
		quotas.change = change;
		await stack.redis.client((redis) => redis.rename("{berth}:audit:kept", "{berth}:audit:noted"));
	}
	const [newest] = await kept();
	expect(newest).not.toHaveProperty("status");
});

test("nobody else sees or sets them", async () => {
	const { send } = await projectOf("other");
	expect((await send("/v1/projects/default")).status).toBe(404);
	expect((await send("/v1/projects/nothere")).status).toBe(404);
	expect((await send("/v1/projects/other", { method: "PATCH", body: '{"functions":9}' })).status).toBe(403);
	await stack.call("PATCH", "/v1/projects/nothere", { functions: 1 }, 404);
	await stack.call("GET", "/v1/projects/nothere", undefined, 404);
});

test.each([
	[{ functions: -1 }, "functions", /0 to 1000000/],
	[{ functions: "many" }, "functions", /"unlimited", or null/],
	[{ requestsPerSecond: 0 }, "requestsPerSecond", /1 to 1000000/],
	[{ requestPerSecond: 1 }, "requestPerSecond", /requestsPerSecond/],
])("%j is refused, by its field", async (changes, field, message) => {
	expect(await stack.call("PATCH", "/v1/projects/default", changes, 400)).toMatchObject({
		issues: [{ field, message: expect.stringMatching(message) }],
	});
});

describe("functions", () => {
	test("deploys that race for the last places: no more get one, and what is there can be deployed anew", async () => {
		const { deploy, set, send } = await projectOf("racing");
		await set({ functions: 2 });
		const answers = await Promise.all(Array.from({ length: 8 }, (_, n) => deploy(`f${n}`)));
		const statuses = answers.map(({ status }) => status).sort();
		expect(statuses).toEqual([201, 201, 403, 403, 403, 403, 403, 403]);
		const refused = answers.find(({ status }) => status === 403);
		expect(await refused?.json()).toMatchObject({
			code: "quota_exceeded",
			quota: "functions",
			limit: 2,
			used: 2,
			issues: [{ field: "functions", message: expect.stringContaining("may have 2 functions and has 2; remove some") }],
		});
		const { functions } = (await (await send("/v1/functions")).json()) as { functions: { name: string }[] };
		expect(functions).toHaveLength(2);
		const [there] = functions as [{ name: string }];
		expect((await deploy(there.name, { memoryMiB: 256 })).status).toBe(201);
		expect((await send(`/v1/functions/${there.name}`, { method: "DELETE" })).status).toBe(204);
		expect((await deploy("another")).status).toBe(201);
	});
});

describe("requests", () => {
	test("are counted with what is left in every answer, refused beyond that, and another project's aren't", async () => {
		const { send, deploy, set } = await projectOf("quick");
		await deploy("fn", { public: true });
		// A burst alone would bound nothing.
		const alone = await stack.call("PATCH", "/v1/projects/quick", { burst: 4 }, 400);
		expect(alone).toMatchObject({ issues: [{ field: "burst", message: expect.stringContaining("requestsPerSecond") }] });
		await set({ requestsPerSecond: 1, burst: 4 });
		const first = await send("/v1/functions");
		expect(first.headers.get("ratelimit-policy")).toBe('"project";q=4;w=4');
		expect(first.headers.get("ratelimit")).toMatch(/^"project";r=[0-3];t=\d+$/);
		// A stranger at a public function spends what the project has, and an answer that is a problem is counted, too.
		expect((await fetch(`${stack.url}/fn/quick/fn`)).headers.has("ratelimit")).toBe(true);
		expect((await send("/v1/functions/nothere")).headers.has("ratelimit")).toBe(true);
		const rest = await Promise.all(Array.from({ length: 6 }, () => fetch(`${stack.url}/fn/quick/fn`)));
		const refused = rest.filter(({ status }) => status === 429);
		expect(refused.length).toBeGreaterThanOrEqual(3);
		expect(refused[0]?.headers.get("retry-after")).toBe("1");
		expect(refused[0]?.headers.get("ratelimit")).toBe('"project";r=0;t=1');
		expect(await refused[0]?.json()).toMatchObject({
			code: "rate_limited",
			retryable: true,
			detail: expect.stringContaining("1 requests a second"),
		});
		const elsewhere = await stack.fetch("/fn/default/open");
		expect([elsewhere.status, elsewhere.headers.get("ratelimit")]).toEqual([200, null]);
		// Nobody is locked out of what could be set otherwise.
		expect((await set({ requestsPerSecond: null })).quotas.requestsPerSecond.limit).toBe(null);
		expect((await send("/v1/functions")).headers.get("ratelimit")).toBe(null);
	});

	test("of a key with a rate of its own are bounded by that as well, wherever it is sent; other keys of its project aren't", async () => {
		const { send, deploy, set } = await projectOf("keyed");
		await deploy("fn");
		const made = await send("/v1/keys", { method: "POST", body: JSON.stringify({ name: "slow", scopes: ["admin"], ratePerSecond: 3 }) });
		const { key, ratePerSecond } = (await made.json()) as NewApiKey;
		expect([made.status, ratePerSecond]).toEqual([201, 3]);
		expect(await (await send("/v1/keys")).json()).toMatchObject({ keys: [{ name: "all" }, { name: "slow", ratePerSecond: 3 }] });
		const slow = (path: string) => fetch(stack.url + path, { headers: { authorization: `Bearer ${key}` } });
		const first = await slow("/v1/functions");
		expect(first.headers.get("ratelimit-policy")).toBe('"key";q=3;w=1');
		expect(first.headers.get("ratelimit")).toMatch(/^"key";r=[0-2];t=1$/);
		await set({ requestsPerSecond: 100 });
		const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => slow(n % 2 === 0 ? "/fn/keyed/fn" : "/v1/functions")));
		const refused = answers.filter(({ status }) => status === 429);
		expect(refused.length).toBeGreaterThanOrEqual(6);
		expect(refused[0]?.headers.get("ratelimit-policy")).toBe('"key";q=3;w=1, "project";q=100;w=1');
		expect(refused[0]?.headers.get("ratelimit")).toMatch(/^"key";r=0;t=1, "project";r=\d+;t=1$/);
		expect(await refused[0]?.json()).toMatchObject({
			code: "rate_limited",
			detail: expect.stringContaining("the API key slow may make 3 requests"),
		});
		expect((await send("/v1/functions")).headers.get("ratelimit-policy")).toBe('"project";q=100;w=1');
	});

	test("of browsers are counted, too, when they ask first: what is refused then can be read by the page", async () => {
		const { deploy, set } = await projectOf("paged");
		await deploy("fn", { public: true, cors: { origins: ["*"] } });
		await set({ requestsPerSecond: 1, burst: 4 });
		const preflight = { method: "OPTIONS", headers: { origin: "https://a.test", "access-control-request-method": "GET" } };
		const asked = await Promise.all(Array.from({ length: 8 }, () => fetch(`${stack.url}/fn/paged/fn`, preflight)));
		expect(new Set(asked.map(({ status }) => status))).toEqual(new Set([204, 429]));
		for (const { headers } of asked) {
			expect(headers.get("ratelimit")).toMatch(/^"project";/);
			expect(headers.get("access-control-allow-origin")).toBe("*");
		}
	});
});

test("background invocations beyond the project's own bound are refused, though the default has room", async () => {
	const { send, deploy, set } = await projectOf("slow");
	await deploy("fn");
	await set({ queued: 2 });
	expect((await send("/v1/functions/fn/pause", { method: "POST" })).status).toBe(200);
	const enqueue = () => send("/v1/functions/fn/invocations?mode=async", { method: "POST", body: "{}" });
	expect([(await enqueue()).status, (await enqueue()).status]).toEqual([202, 202]);
	const refused = await enqueue();
	expect([refused.status, await refused.json()]).toEqual([
		429,
		expect.objectContaining({ code: "queue_full", detail: expect.stringContaining("of 2 at most") }),
	]);
	await set({ queued: 3 });
	expect((await enqueue()).status).toBe(202);
});

test("invocations in flight are bounded at all gateways together: one too many is refused, and the next is taken when one is over", async () => {
	const { send, deploy, set } = await projectOf("narrow");
	await deploy("fn");
	expect((await set({ concurrency: 1 })).quotas.concurrency).toEqual({ limit: 1, own: true, used: 0 });
	const { promise: held, resolve: release } = Promise.withResolvers<void>();
	stack.onInvocation(async (delivery) => {
		await held;
		return await mirror(delivery);
	});
	const invoke = () => send("/v1/functions/fn/invocations", { method: "POST", body: "{}" });
	const first = invoke();
	const used = async () => ((await (await send("/v1/projects/narrow")).json()) as ProjectDetail).quotas.concurrency.used;
	await expect.poll(used).toBe(1);
	const refused = await invoke();
	expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
	expect(await refused.json()).toMatchObject({ code: "too_busy", quota: "concurrency", limit: 1 });
	release();
	expect((await first).status).toBe(200);
	await expect.poll(used).toBe(0);
	expect((await invoke()).status).toBe(200);
	stack.onInvocation(mirror);
});
