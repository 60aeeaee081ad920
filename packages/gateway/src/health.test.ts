import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { ended } from "./testing/settlements.js";
import { METRICS_KEY } from "./testing/stack.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ hello: {} });
});
afterEach(async () => {
	if (!stack.redis.running) await stack.redis.start();
});
afterAll(() => stack?.close());

/** The samples of `/metrics` by name and labels. */
async function samples(): Promise<Map<string, number>> {
	const text = await (await fetch(`${stack.url}/metrics`, { headers: { authorization: `Bearer ${METRICS_KEY}` } })).text();
	const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
	return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]));
}

const invoke = (headers: Record<string, string> = {}) =>
	stack.fetch("/v1/functions/hello/invocations", { method: "POST", body: "x", headers });

test("it is alive and ready", async () => {
	expect([(await fetch(`${stack.url}/livez`)).status, (await fetch(`${stack.url}/readyz`)).status]).toEqual([200, 200]);
});

test("one that is about to stop isn't ready, though it serves", async () => {
	const leaving = new AbortController();
	await using other = await startOwnStack({ hello: {} }, { leaving: leaving.signal });
	other.onInvocation(async () => ended("succeeded", {}, { body: { text: "1" } }));
	expect((await fetch(`${other.url}/readyz`)).status).toBe(200);
	leaving.abort();
	const unready = await fetch(`${other.url}/readyz`);
	expect([unready.status, await unready.json()]).toMatchObject([503, { detail: expect.stringMatching(/about to stop/) }]);
	expect((await other.fetch("/v1/functions/hello/invocations", { method: "POST", body: "x" })).status).toBe(200);
});

test("metrics have names of all projects: nobody reads them but the operator, and who has the key for that and nothing else", async () => {
	const asked = async (path: string, authorization?: string) =>
		(await fetch(stack.url + path, authorization === undefined ? {} : { headers: { authorization } })).status;
	expect(await asked("/metrics")).toBe(401);
	expect(await asked("/metrics", "Bearer berth_wrong")).toBe(401);
	expect(await asked("/metrics", `Bearer ${stack.key}`)).toBe(200);
	const { key } = await stack.call<{ key: string }>("POST", "/v1/keys", { name: "all", scopes: ["admin"] }, 201);
	expect(await asked("/metrics", `Bearer ${key}`)).toBe(403);
	expect(await asked("/metrics", `Bearer ${METRICS_KEY}`)).toBe(200);
	expect(await asked("/v1/functions", `Bearer ${METRICS_KEY}`)).toBe(401);
	expect(await asked("/v1/stats", `Bearer ${METRICS_KEY}`)).toBe(401);
});

test("what was accepted is accounted for, per lane", async () => {
	stack.onInvocation(async () => ended("succeeded", {}, { body: { text: "1" } }));
	for (let i = 0; i < 3; i++) expect((await invoke()).status).toBe(200);
	stack.onInvocation(async ({ attempt }) => ended("handler_error", { attempt }));
	expect((await invoke()).status).toBe(502);
	stack.onInvocation(async ({ attempt }) => ended("cancelled", { attempt }));
	expect((await invoke({ prefer: "respond-async" })).status).toBe(202);
	await expect.poll(async () => (await samples()).get('berth_settled_total{lane="background"}')).toBe(1);
	const found = await samples();
	for (const [lane, accepted] of [
		["interactive", 4],
		["background", 1],
	] as const) {
		expect([lane, found.get(`berth_accepted_total{lane="${lane}"}`)]).toEqual([lane, accepted]);
		expect(found.get(`berth_settled_total{lane="${lane}"}`)).toBe(accepted);
		expect(found.get(`berth_dead_total{lane="${lane}"}`)).toBe(0);
		expect(found.get(`berth_in_flight{lane="${lane}"}`)).toBe(0);
		expect(found.get(`berth_unaccounted{lane="${lane}"}`)).toBe(0);
	}
	expect(found.get("berth_redis_up")).toBe(1);
	expect(found.get('berth_node_up{node="node_test"}')).toBe(1);
	expect(found.get('berth_queue_depth{lane="background",state="waiting"}')).toBe(0);
	expect(found.get('berth_x{a="b",node="node_test"}')).toBe(1);
});

test("a refused invocation isn't counted as accepted", async () => {
	const before = (await samples()).get('berth_accepted_total{lane="interactive"}');
	expect((await stack.fetch("/v1/functions/nothere/invocations", { method: "POST" })).status).toBe(404);
	expect((await samples()).get('berth_accepted_total{lane="interactive"}')).toBe(before);
});

test("a Redis that takes no writes isn't ready, and says why", async () => {
	await stack.redis.client((redis) => redis.call("REPLICAOF", "127.0.0.1", "1"));
	try {
		await expect
			.poll(async () => {
				const answer = await fetch(`${stack.url}/readyz`);
				return [answer.status, await answer.text()];
			})
			.toMatchObject([503, expect.stringMatching(/writing to the fast Redis.*READONLY/)]);
	} finally {
		await stack.redis.client((redis) => redis.call("REPLICAOF", "NO", "ONE"));
	}
	await expect.poll(async () => (await fetch(`${stack.url}/readyz`)).status).toBe(200);
});

test("while Redis is away it isn't ready, refuses in a second or two as unavailable, says so in its metrics, and comes back by itself", async () => {
	stack.onInvocation(async () => ended("succeeded", {}, { body: { text: "1" } }));
	await stack.redis.kill();
	const logged = vi.spyOn(stack.services.log, "error");
	const refused = await invoke();
	expect([refused.status, refused.headers.get("retry-after"), await refused.json()]).toMatchObject([
		503,
		"1",
		{ code: "unavailable", retryable: true, fault: "platform" },
	]);
	expect((await invoke({ prefer: "respond-async" })).status).toBe(503);
	const unready = await fetch(`${stack.url}/readyz`);
	expect([unready.status, await unready.json()]).toMatchObject([503, { detail: expect.stringMatching(/durable Redis.*fast Redis/) }]);
	expect((await fetch(`${stack.url}/livez`)).status).toBe(200);
	for (const path of ["/v1/functions/hello", "/v1/functions/hello/versions"]) expect((await stack.fetch(path)).status).toBe(503);
	// Each reason once, whatever the paths were.
	const said = logged.mock.calls.map(([, message]) => message);
	expect(said.length).toBeGreaterThan(0);
	expect(said).toEqual([...new Set(said)]);
	logged.mockRestore();
	expect((await samples()).get("berth_redis_up")).toBe(0);
	await stack.redis.start();
	await expect.poll(async () => (await invoke()).status, { timeout: 10_000 }).toBe(200);
	await expect.poll(async () => (await fetch(`${stack.url}/readyz`)).status, { timeout: 10_000 }).toBe(200);
});
