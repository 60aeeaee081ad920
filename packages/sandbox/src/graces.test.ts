import { MIB } from "@berth/contracts";
import { expect, test, vi } from "vitest";
import type { Lease } from "./lease.js";
import type { Pool } from "./pool.js";
import { engine, HEAD, RAN, run, start, use } from "./testing/pools.js";
import { version } from "./testing/versions.js";

/** A sandbox whose function goes on, and whose caller goes away. Who holds its lease gives it back when it is killed. */
async function abandoned(pool: Pool, name = "hello", manifest: Parameters<typeof version>[1] = {}): Promise<Lease> {
	engine.onInvoke = (agent, head) => (head.id === "inv_left" ? undefined : agent.answer(head));
	const lease = await pool.acquire(version(name, manifest));
	const ended = lease.sandbox.invoke({ ...HEAD, id: "inv_left" }, Buffer.alloc(0));
	const giveBack = (healthy: boolean) => lease.release(healthy, { runMs: 5000, cpuMs: 1 });
	// It rejects when the pool closes meanwhile.
	void ended.then(
		({ healthy }) => giveBack(healthy),
		() => giveBack(false),
	);
	lease.abandon();
	return lease;
}

/** The clock is the test's, but for what boots and sockets take. */
const withTimers = () => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
const killed = ({ sandbox: { id } }: Lease) => !engine.agents.has(id);

test("a run that nobody waits for any more, and that ends by itself, leaves its sandbox warm, and nothing else was started", async () => {
	withTimers();
	const pool = await start();
	const first = await use(pool, "hello");
	const left = await pool.acquire(version("hello"));
	left.abandon();
	const next = pool.acquire(version("hello"));
	await run(left);
	expect((await next).sandbox.id).toBe(first.sandbox.id);
	expect([engine.booted.length, pool.stats.starts]).toEqual([1, { boot: 1, prewarmed: 0, warm: 2 }]);
});

test("one that goes on serves nobody soon: who waits gets another sandbox, and its own time isn't over by that", async () => {
	withTimers();
	const pool = await start();
	const lost = await abandoned(pool);
	const asked = pool.acquire(version("hello"));
	await vi.advanceTimersByTimeAsync(30);
	const next = await asked;
	expect([next.start, next.sandbox.id === lost.sandbox.id, killed(lost)]).toEqual(["boot", false, false]);
});

test("one that goes on is killed after five seconds when nobody needs its sandbox, and not before", async () => {
	withTimers();
	const pool = await start();
	const lost = await abandoned(pool);
	await vi.advanceTimersByTimeAsync(4999);
	expect(killed(lost)).toBe(false);
	await vi.advanceTimersByTimeAsync(1);
	expect(killed(lost)).toBe(true);
});

test("where it holds the only place that its version has, who waits has that after half a second", async () => {
	withTimers();
	const pool = await start();
	const lost = await abandoned(pool, "single", { concurrency: 1 });
	const asked = pool.acquire(version("single", { concurrency: 1 }));
	await vi.advanceTimersByTimeAsync(499);
	expect(killed(lost)).toBe(false);
	await vi.advanceTimersByTimeAsync(1);
	expect((await asked).sandbox.id).not.toBe(lost.sandbox.id);
	expect(killed(lost)).toBe(true);
});

test("where it has gone on for longer already, who comes then has its place at once", async () => {
	withTimers();
	const pool = await start();
	const lost = await abandoned(pool, "single", { concurrency: 1 });
	await vi.advanceTimersByTimeAsync(1000);
	expect(killed(lost)).toBe(false);
	const asked = pool.acquire(version("single", { concurrency: 1 }));
	expect((await asked).sandbox.id).not.toBe(lost.sandbox.id);
});

test("where it holds the memory that another version needs, that has it after half a second", async () => {
	withTimers();
	const pool = await start({ memoryBudgetBytes: 128 * MIB });
	const lost = await abandoned(pool);
	const asked = pool.acquire(version("other"));
	await vi.advanceTimersByTimeAsync(499);
	expect(killed(lost)).toBe(false);
	await vi.advanceTimersByTimeAsync(1);
	expect((await asked).start).toBe("boot");
});

test("of many that go on one is killed for its place, and one for each that is started instead", async () => {
	withTimers();
	const pool = await start();
	const manifest = { concurrency: 4 };
	const lost: Lease[] = [];
	for (let n = 0; n < 4; n++) {
		lost.push(await abandoned(pool, "few", manifest));
		await vi.advanceTimersByTimeAsync(30);
	}
	await vi.advanceTimersByTimeAsync(600);
	expect(lost.filter(killed)).toEqual([]);
	const lease = await pool.acquire(version("few", manifest));
	expect(lost.map(killed)).toEqual([true, true, false, false]);
	lease.release(true, RAN);
	expect((await pool.acquire(version("few", manifest))).start).toBe("warm");
	expect(lost.map(killed)).toEqual([true, true, false, false]);
});

test("how long one went on that was cut short isn't taken for what a run needs", async () => {
	const pool = await start();
	await use(pool, "hello");
	const left = await pool.acquire(version("hello"));
	left.abandon();
	left.release(true, { runMs: 60_000, cpuMs: 1 });
	// Two wait for one that is busy, behind a run of a millisecond: no second one is worth its start.
	const busy = await pool.acquire(version("hello"));
	const [second, third] = [pool.acquire(version("hello")), pool.acquire(version("hello"))];
	expect(pool.list()).toHaveLength(1);
	for (const lease of [busy, second, third]) await run(await lease);
	expect(engine.booted).toHaveLength(1);
});
