import { FROM_AGENT, MIB, MINUTE_MS } from "@berth/contracts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Pool } from "./pool.js";
import { engine, RAN, run, start, use } from "./testing/pools.js";
import { version } from "./testing/versions.js";
import type { Specialisation } from "./version-target.js";

/** The pool's clock is the test's: it looks at what is idle whenever that is set; everything else takes the time that it takes. */
let setByMs = 0;
beforeEach(() => {
	setByMs = 0;
	const now = performance.now.bind(performance);
	vi.spyOn(performance, "now").mockImplementation(() => now() + setByMs);
	vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
});
afterEach(() => vi.restoreAllMocks());
async function pass(ms: number): Promise<void> {
	setByMs += ms;
	await vi.advanceTimersByTimeAsync(1000);
	await turns();
}
const names = (name: string) => ({ project: "default", function: name, version: 1 });
const least = (name: string, sandboxes: number) => ({ ...names(name), sandboxes });
const targetOf = async ({ function: name }: { readonly function: string }) => version(name);
const idle = (pool: Pool, name: string) => pool.list().filter((each) => each.function === name && /^(warm|frozen)$/.test(each.state));
const counts = (pool: Pool, name: string) => expect.poll(() => idle(pool, name).length, { interval: 5 });
/** Nothing is to be seen of what doesn't happen: whatever was begun has had its turns by then. */
const turns = () => new Promise((resolve) => setTimeout(resolve, 20));

async function everyHalfHour(pool: Pool, name: string): Promise<void> {
	for (let at = 0; at < 12; at++) {
		await use(pool, name);
		await pass(28 * MINUTE_MS);
		await pass(2 * MINUTE_MS);
	}
}

test("a function that is invoked every half hour is freed after a run, is there before the next, and goes when that doesn't come", async () => {
	const pool = await start({ idleTtlMs: 10 * MINUTE_MS, targetOf });
	await everyHalfHour(pool, "often");
	await counts(pool, "often").toBe(1);
	const last = await use(pool, "often");
	expect(last.start).toBe("warm");
	await pass(2000);
	await counts(pool, "often").toBe(0);
	await pass(25 * MINUTE_MS);
	expect(idle(pool, "often")).toEqual([]);
	await pass(2 * MINUTE_MS);
	await counts(pool, "often").toBe(1);
	expect(idle(pool, "often")[0]).toMatchObject({ invocations: 0, kept: { why: "pattern", freeInMs: expect.any(Number) } });
	await pass(8 * MINUTE_MS);
	await counts(pool, "often").toBe(0);
	await pass(60 * MINUTE_MS);
	expect(idle(pool, "often")).toEqual([]);
});

test("one without a pattern is kept for the standard time", async () => {
	const pool = await start({ idleTtlMs: 10 * MINUTE_MS, targetOf });
	await use(pool, "seldom");
	await pass(9 * MINUTE_MS);
	expect(idle(pool, "seldom")[0]?.kept).toMatchObject({ why: "standard" });
	await pass(MINUTE_MS + 2000);
	await counts(pool, "seldom").toBe(0);
});

test("nothing is started ahead of need where it would take memory from what runs", async () => {
	const pool = await start({ idleTtlMs: 10 * MINUTE_MS, memoryBudgetBytes: 300 * MIB, targetOf });
	await everyHalfHour(pool, "often");
	await use(pool, "often");
	const leases = [await pool.acquire(version("one")), await pool.acquire(version("two"))];
	await pass(29 * MINUTE_MS);
	expect(idle(pool, "often")).toEqual([]);
	// There is room before its window is over.
	for (const lease of leases) lease.release(false, RAN);
	await pass(MINUTE_MS);
	await counts(pool, "often").toBe(1);
});

test("a minimum is started without any invocation, and not freed; when it is taken back, it goes as others do", async () => {
	const pool = await start({ idleTtlMs: 10 * MINUTE_MS, targetOf });
	pool.keepAtLeast([least("always", 2)]);
	expect(pool.missing).toBe(2);
	await counts(pool, "always").toBe(2);
	expect(pool.missing).toBe(0);
	await pass(60 * MINUTE_MS);
	expect(idle(pool, "always").map(({ kept }) => kept)).toEqual([{ why: "minimum" }, { why: "minimum" }]);
	expect(pool.stats.starts).toEqual({ boot: 0, prewarmed: 0, warm: 0 });
	expect((await use(pool, "always")).start).toBe("warm");
	pool.keepAtLeast([]);
	await pass(11 * MINUTE_MS);
	await counts(pool, "always").toBe(0);
});

test("sandboxes at work count towards the minimum, and one that dies is replaced", async () => {
	const pool = await start({ idleTtlMs: 10 * MINUTE_MS, targetOf });
	const lease = await pool.acquire(version("always"));
	pool.keepAtLeast([least("always", 2)]);
	await counts(pool, "always").toBe(1);
	await pass(5000);
	expect(idle(pool, "always")).toHaveLength(1);
	await run(lease);
	await counts(pool, "always").toBe(2);
	await pool.kill(lease.sandbox.id);
	await pass(2000);
	await counts(pool, "always").toBe(2);
	expect(engine.booted).toHaveLength(3);
});

test("there are never more than its concurrency", async () => {
	const pool = await start({ targetOf: async ({ function: name }) => version(name, { concurrency: 1 }) });
	pool.keepAtLeast([least("one", 3)]);
	await counts(pool, "one").toBe(1);
	await pass(5000);
	expect(engine.booted).toHaveLength(1);
});

test("somebody who waits for memory gets that of a minimum, after everything else that is idle", async () => {
	const pool = await start({ memoryBudgetBytes: 300 * MIB, targetOf });
	engine.onSpecialise = (agent) => {
		agent.cgroup.tell({ memoryBytes: 100 * MIB });
		agent.say(FROM_AGENT.specialised, { handler: "payload", initMs: 1 });
	};
	pool.keepAtLeast([least("always", 1)]);
	await counts(pool, "always").toBe(1);
	await use(pool, "used");
	for (const name of ["always", "used"]) await expect.poll(() => idle(pool, name)[0]?.state, { interval: 5 }).toBe("frozen");
	const first = [await pool.acquire(version("one")), await pool.acquire(version("two", { memoryMiB: 64 }))];
	expect([idle(pool, "used").length, idle(pool, "always").length]).toEqual([0, 1]);
	const third = await pool.acquire(version("three", { memoryMiB: 64 }));
	expect(idle(pool, "always")).toEqual([]);
	for (const lease of [...first, third]) lease.release(true, RAN);
});

test("one whose module can't be loaded is tried again later and later, not over and over", async () => {
	const pool = await start({ targetOf, crashesAllowed: 0 });
	engine.onSpecialise = (agent) =>
		agent.say(FROM_AGENT.failed, { outcome: "init_error", initMs: 1, error: { name: "Error", message: "no" } });
	pool.keepAtLeast([least("broken", 1)]);
	for (let at = 0; at < 60; at++) {
		await pass(1000);
		await expect.poll(() => pool.list().length, { interval: 5 }).toBe(0);
	}
	expect(pool.missing).toBe(1);
	// After 0, 1, 3, 7, 15, 31 and 63 s.
	expect(engine.booted.length).toBeGreaterThanOrEqual(6);
	expect(engine.booted.length).toBeLessThanOrEqual(7);
});

test("a project whose module never comes to an end holds up no other project's minimum", async () => {
	const pool = await start({
		targetOf: async (of) => ({ ...version(of.function), project: of.project, key: `${of.project}/${of.function}:1` }),
	});
	engine.onSpecialise = (agent, { function: of }) => {
		if (!of.startsWith("hangs")) agent.say(FROM_AGENT.specialised, { handler: "payload", initMs: 1 });
	};
	const hangs = Array.from({ length: 5 }, (_, at) => ({ ...least(`hangs${at}`, 1), project: "hostile" }));
	const others = Array.from({ length: 6 }, (_, at) => ({ ...least(`f${at}`, 1), project: `p${at}` }));
	pool.keepAtLeast([...hangs, ...others]);
	for (const each of others) await counts(pool, each.function).toBe(1);
	expect(engine.of("hangs0")).toHaveLength(1);
});

test("a minimum that has a secret's value of before is replaced", async () => {
	let revision = "a";
	const given = (): Specialisation => ({ ...version("secret"), secrets: { revision, values: {}, variables: {}, injections: [] } });
	const pool = await start({ targetOf: async () => given() });
	pool.keepAtLeast([least("secret", 1)]);
	await counts(pool, "secret").toBe(1);
	const before = idle(pool, "secret")[0]?.id;
	revision = "b";
	await pass(2000);
	await expect.poll(() => idle(pool, "secret")[0]?.id ?? before, { interval: 5 }).not.toBe(before);
	expect((await pool.acquire(given())).start).toBe("warm");
});
