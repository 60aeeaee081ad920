import { join } from "node:path";
import { FIXED_LIMITS, FROM_AGENT, type InvokeHead, MIB } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Lease } from "./lease.js";
import { Pool, type PoolOptions } from "./pool.js";
import { temporaryDirectory } from "./testing/directory.js";
import { type FakeAgent, FakeEngine } from "./testing/fake-engine.js";
import { BASE, OTHER_BASE, version } from "./testing/versions.js";

const RAN = { runMs: 1, cpuMs: 1 };

const directory = temporaryDirectory();
let engine: FakeEngine;
const pools: Pool[] = [];
const troubles: string[] = [];
beforeEach(() => {
	engine = new FakeEngine(directory.path, join(directory.path, "a"));
	troubles.length = 0;
});
afterEach(async () => {
	vi.useRealTimers();
	for (const pool of pools.splice(0)) await pool.close();
});

async function start(changes: Partial<PoolOptions> = {}): Promise<Pool> {
	const pool = new Pool({
		engine,
		layers: () => {
			throw new Error("no layer is asked for");
		},
		bases: { node24: BASE, node22: OTHER_BASE, build: BASE },
		node: "node_test",
		agentSockets: join(directory.path, "a"),
		memoryBudgetBytes: 4096 * MIB,
		prewarmed: 0,
		prewarmedBuilds: 0,
		idleTtlMs: 60_000,
		cores: 2,
		onTrouble: (message) => void troubles.push(message),
		...changes,
	});
	pools.push(pool);
	await pool.start();
	return pool;
}

const head: InvokeHead = { id: "inv_1", attempt: 1, timeoutMs: 5000, trigger: { kind: "event" }, maxBodyBytes: MIB };

/** Runs one invocation and gives the sandbox back. */
async function run(lease: Lease): Promise<void> {
	const { healthy, outcome } = await lease.sandbox.invoke(head, Buffer.alloc(0));
	expect(outcome).toBe("succeeded");
	lease.release(healthy, RAN);
}

async function use(pool: Pool, name: string, manifest: Parameters<typeof version>[1] = {}): Promise<Lease> {
	const lease = await pool.acquire(version(name, manifest));
	await run(lease);
	return lease;
}

/** Waits until the sandbox that was used last is frozen. */
async function frozen(pool: Pool, id: string): Promise<void> {
	await expect.poll(() => pool.list().find((each) => each.id === id)?.state, { interval: 5 }).toBe("frozen");
}

describe("a start", () => {
	test("is warm where a sandbox of the version is idle, frozen or not", async () => {
		const pool = await start();
		const first = await use(pool, "hello");
		const second = await use(pool, "hello");
		await frozen(pool, second.sandbox.id);
		expect(engine.agents.get(first.sandbox.id)?.cgroup.freezerWord).toMatch(/^1/);
		const third = await use(pool, "hello");
		expect([first, second, third].map((each) => each.start)).toEqual(["boot", "warm", "warm"]);
		expect(new Set([first, second, third].map((each) => each.sandbox.id)).size).toBe(1);
		expect(engine.agents.get(third.sandbox.id)?.cgroup.freezerWord).toMatch(/^0/);
	});

	test("is a prewarmed sandbox's where there is one, and its place is filled again", async () => {
		const pool = await start({ prewarmed: 2 });
		const before = new Set(engine.booted);
		const lease = await use(pool, "hello");
		expect(lease.start).toBe("prewarmed");
		expect(before.has(lease.sandbox.id)).toBe(true);
		await expect.poll(() => pool.list().filter(({ state }) => state === "prewarmed").length, { interval: 5 }).toBe(3);
	});

	test("never takes another version's sandbox", async () => {
		const pool = await start();
		const [a, b] = [await use(pool, "a"), await use(pool, "b")];
		expect(a.sandbox.id).not.toBe(b.sandbox.id);
		expect([engine.of("a").length, engine.of("b").length]).toEqual([1, 1]);
	});
});

describe("a sandbox is kept only when", () => {
	const replaced = async (pool: Pool, lease: Lease) => {
		await expect.poll(() => engine.removed, { interval: 5 }).toContain(lease.sandbox.id);
		expect((await use(pool, "hello")).sandbox.id).not.toBe(lease.sandbox.id);
	};

	test("its outcome was healthy", async () => {
		const pool = await start();
		const lease = await pool.acquire(version("hello"));
		lease.release(false, RAN);
		lease.release(true, RAN);
		await replaced(pool, lease);
	});

	test("nothing of the function runs on", async () => {
		const pool = await start();
		const lease = await pool.acquire(version("hello"));
		engine.agents.get(lease.sandbox.id)?.cgroup.tell({ tasks: 12, processes: 3 });
		lease.release(true, RAN);
		await replaced(pool, lease);
	});

	test("it may be used again", async () => {
		const pool = await start();
		const [once, twice] = [await use(pool, "hello", { reuse: "never" }), await use(pool, "twice", { reuse: 2 })];
		await replaced(pool, once);
		expect((await use(pool, "twice", { reuse: 2 })).sandbox.id).toBe(twice.sandbox.id);
		expect((await use(pool, "twice", { reuse: 2 })).sandbox.id).not.toBe(twice.sandbox.id);
	});

	test("it doesn't die while it is idle", async () => {
		const pool = await start();
		const lease = await use(pool, "hello");
		await engine.kill(lease.sandbox.id);
		await replaced(pool, lease);
	});
});

describe("what an invocation gave to `waitUntil`", () => {
	const waiting = async (timeoutMs: number) => {
		const pool = await start();
		engine.onInvoke = (agent, asked) => agent.answer(asked, { waiting: true });
		const lease = await pool.acquire(version("hello", { timeoutMs, concurrency: 1 }));
		await run(lease);
		return { pool, lease, agent: engine.of("hello")[0] as FakeAgent };
	};

	test("holds its sandbox: nobody has it before that is over", async () => {
		const { pool, lease, agent } = await waiting(5000);
		const next = pool.acquire(version("hello", { timeoutMs: 5000, concurrency: 1 }));
		let had = false;
		void next.then(() => {
			had = true;
		});
		await new Promise((resolve) => setTimeout(resolve, 50));
		expect([had, pool.list()[0]?.state]).toEqual([false, "busy"]);
		agent.say(FROM_AGENT.settled, { id: head.id });
		expect((await next).sandbox.id).toBe(lease.sandbox.id);
	});

	test("costs its sandbox when it isn't over at the deadline", async () => {
		const { lease } = await waiting(30);
		await expect.poll(() => engine.removed, { interval: 5 }).toContain(lease.sandbox.id);
	});
});

describe("a burst", () => {
	test("never has more sandboxes than the version's concurrency", async () => {
		const pool = await start({ cores: 8 });
		let most = 0;
		const attempts = Array.from({ length: 30 }, async () => {
			const lease = await pool.acquire(version("hello", { concurrency: 3 }));
			most = Math.max(most, pool.list().filter(({ state }) => state === "busy").length);
			await run(lease);
		});
		await Promise.all(attempts);
		expect(most).toBeGreaterThan(0);
		expect(most).toBeLessThanOrEqual(3);
		expect(engine.booted.length).toBeLessThanOrEqual(3);
	});

	test("is served in the order in which it came", async () => {
		const pool = await start();
		const target = version("hello", { concurrency: 1 });
		const first = await pool.acquire(target);
		const order: number[] = [];
		const others = [1, 2, 3].map(async (number) => {
			const lease = await pool.acquire(target);
			order.push(number);
			lease.release(true, RAN);
		});
		first.release(true, RAN);
		await Promise.all(others);
		expect(order).toEqual([1, 2, 3]);
		expect(engine.booted).toHaveLength(1);
	});

	test("waits no longer than a start may take", async () => {
		const pool = await start();
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		const target = version("hello", { concurrency: 1 });
		const held = pool.acquire(target);
		await held;
		const late = pool.acquire(target);
		const refused = expect(late).rejects.toMatchObject({ code: "start_timed_out" });
		await vi.advanceTimersByTimeAsync(FIXED_LIMITS.startMs);
		await refused;
		expect(pool.stats.waiting).toBe(0);
	});

	test("isn't begun for a caller who is gone already", async () => {
		const pool = await start();
		await expect(pool.acquire(version("hello"), [AbortSignal.abort()])).rejects.toMatchObject({ code: "cancelled" });
		expect(engine.booted).toEqual([]);
	});

	test("wakes nothing for a caller who is gone already", async () => {
		const pool = await start();
		const { sandbox } = await use(pool, "hello");
		await frozen(pool, sandbox.id);
		await expect(pool.acquire(version("hello"), [AbortSignal.abort()])).rejects.toMatchObject({ code: "cancelled" });
		expect(pool.list().map(({ state }) => state)).toEqual(["frozen"]);
	});

	test("waits no more for a caller who goes away: the next one gets the turn", async () => {
		const pool = await start();
		const target = version("hello", { concurrency: 1 });
		const held = await pool.acquire(target);
		const caller = new AbortController();
		const gone = expect(pool.acquire(target, [caller.signal])).rejects.toMatchObject({ code: "cancelled" });
		const next = pool.acquire(target);
		caller.abort();
		await gone;
		expect(pool.stats.waiting).toBe(1);
		held.release(true, RAN);
		await run(await next);
		expect(engine.booted).toHaveLength(1);
	});

	test("loses one waiter to a start that fails, not all of them", async () => {
		const pool = await start();
		let failures = 1;
		const well = engine.onSpecialise;
		engine.onSpecialise = (agent, asked) => {
			if (failures-- > 0) agent.say(FROM_AGENT.failed, { phase: "init", error: { name: "TypeError", message: "no such module" } });
			else well(agent, asked);
		};
		const asked = Array.from({ length: 3 }, () => pool.acquire(version("hello", { concurrency: 1 })).then(run));
		const results = await Promise.allSettled(asked);
		expect(results.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
		expect(results[0]).toMatchObject({ reason: { name: "SpecialiseError", outcome: "init_error", message: "no such module" } });
	});

	test("hears of a boot that the engine refuses as of our failure, and nothing of it stays", async () => {
		const pool = await start();
		engine.onBoot = () => Promise.reject(new Error("no such layer"));
		await expect(pool.acquire(version("hello"))).rejects.toMatchObject({ code: "platform_error" });
		await expect.poll(() => pool.list(), { interval: 5 }).toEqual([]);
		expect(pool.stats.memoryBytes).toBe(0);
	});
});

describe("the node's memory", () => {
	/** Uses functions one after the other, each frozen before the next and holding so much. */
	const fill = async (pool: Pool, memoryMiB: number, ...names: readonly string[]) => {
		for (const name of names) {
			const lease = await pool.acquire(version(name));
			engine.agents.get(lease.sandbox.id)?.cgroup.tell({ memoryBytes: memoryMiB * MIB });
			await run(lease);
			await frozen(pool, lease.sandbox.id);
		}
	};
	const left = () => ["a", "b", "c", "d"].filter((name) => engine.of(name).length > 0);

	test("is made free by those that were used least recently, and only by as many as needed", async () => {
		const pool = await start({ memoryBudgetBytes: 384 * MIB });
		await fill(pool, 100, "a", "b", "c");
		await use(pool, "d");
		expect(left()).toEqual(["b", "c", "d"]);
	});

	test("isn't taken from anybody while there is enough", async () => {
		const pool = await start({ memoryBudgetBytes: 512 * MIB });
		await fill(pool, 100, "a", "b", "c");
		await use(pool, "d");
		expect(left()).toEqual(["a", "b", "c", "d"]);
	});

	test("that busy sandboxes hold makes others wait until it is free", async () => {
		const pool = await start({ memoryBudgetBytes: 256 * MIB });
		const [a] = [await pool.acquire(version("a")), await pool.acquire(version("b"))];
		const c = pool.acquire(version("c"));
		await new Promise((resolve) => setTimeout(resolve, 20));
		expect(left()).toEqual(["a", "b"]);
		a.release(true, RAN);
		await run(await c);
		expect(left()).toEqual(["b", "c"]);
	});

	test("that is on its way is waited for: a sandbox that only needs more of it isn't given up for a new one", async () => {
		const pool = await start({ memoryBudgetBytes: 170 * MIB });
		await fill(pool, 100, "a");
		const small = await pool.acquire(version("b", { memoryMiB: 64 }));
		engine.agents.get(small.sandbox.id)?.cgroup.tell({ memoryBytes: 60 * MIB });
		await run(small);
		await frozen(pool, small.sandbox.id);
		expect((await use(pool, "a")).start).toBe("warm");
		expect(left()).toEqual(["a"]);
	});

	test("is never promised twice", async () => {
		const pool = await start({ memoryBudgetBytes: 512 * MIB, cores: 8 });
		const over: number[] = [];
		await Promise.all(
			Array.from({ length: 40 }, async (_, index) => {
				const lease = await pool.acquire(version(`f${index % 7}`));
				const { memoryBytes, memoryBudgetBytes } = pool.stats;
				if (memoryBytes > memoryBudgetBytes) over.push(memoryBytes);
				await run(lease);
			}),
		);
		expect(over).toEqual([]);
	});
});

describe("a version in constant use", () => {
	/** Runs it again and again, by so many callers at a time; ends with how many runs there were. */
	const keepBusy = (pool: Pool, callers: number, manifest: Parameters<typeof version>[1] = {}) => {
		let asking = true;
		let runs = 0;
		const loops = Array.from({ length: callers }, async () => {
			while (asking) {
				await use(pool, "hot", manifest);
				runs++;
			}
		});
		const end = async () => {
			asking = false;
			await Promise.all(loops);
			return runs;
		};
		return { end, runs: () => runs };
	};

	test("doesn't keep the memory from another that has waited for a while, and has its turn again after", async () => {
		const pool = await start({ memoryBudgetBytes: 128 * MIB });
		const hot = keepBusy(pool, 3);
		await expect.poll(hot.runs, { interval: 5 }).toBeGreaterThan(0);
		await use(pool, "cold");
		const before = hot.runs();
		await expect.poll(hot.runs, { interval: 5 }).toBeGreaterThan(before + 3);
		await hot.end();
	});

	test("makes room also for one that needs more than a single sandbox of it has", async () => {
		const pool = await start({ memoryBudgetBytes: 512 * MIB, cores: 4 });
		const leases = await Promise.all(Array.from({ length: 4 }, () => pool.acquire(version("hot"))));
		const hot = keepBusy(pool, 12);
		for (const lease of leases) await run(lease);
		expect((await use(pool, "cold", { memoryMiB: 512 })).start).toBe("boot");
		await hot.end();
	});

	test("isn't held up by one that couldn't be served anyway", async () => {
		vi.useFakeTimers({ toFake: ["performance"] });
		const pool = await start({ memoryBudgetBytes: 256 * MIB });
		const held = await pool.acquire(version("held"));
		const hot = keepBusy(pool, 2);
		const caller = new AbortController();
		const large = expect(pool.acquire(version("large", { memoryMiB: 256 }), [caller.signal])).rejects.toMatchObject({ code: "cancelled" });
		vi.advanceTimersByTime(1200);
		const before = hot.runs();
		await expect.poll(hot.runs, { interval: 5 }).toBeGreaterThan(before + 10);
		expect(engine.of("hot")).toHaveLength(1);
		caller.abort();
		await large;
		held.release(true, RAN);
		await hot.end();
	});

	test("goes on when who it stood back for goes away", async () => {
		vi.useFakeTimers({ toFake: ["performance"] });
		const pool = await start({ memoryBudgetBytes: 256 * MIB });
		await use(pool, "other");
		const [first, second] = [await pool.acquire(version("hot")), await pool.acquire(version("other"))];
		const caller = new AbortController();
		const large = expect(pool.acquire(version("large", { memoryMiB: 256 }), [caller.signal])).rejects.toMatchObject({ code: "cancelled" });
		vi.advanceTimersByTime(1200);
		const next = pool.acquire(version("hot"));
		// The other one could be back at any moment, and then there would be enough.
		first.release(true, RAN);
		expect(pool.stats.waiting).toBe(2);
		caller.abort();
		await large;
		expect((await next).sandbox.id).toBe(first.sandbox.id);
		second.release(true, RAN);
	});
});

test("what is idle too long is removed", async () => {
	const pool = await start({ idleTtlMs: 50 });
	const lease = await use(pool, "hello");
	await expect.poll(() => engine.removed, { interval: 10 }).toContain(lease.sandbox.id);
});

test("a function's idle sandboxes are evicted by its name; the busy one finishes", async () => {
	const pool = await start({ cores: 1 });
	const busy = await pool.acquire(version("hello"));
	await use(pool, "other");
	expect(await pool.evict("default", "hello")).toBe(0);
	await run(busy);
	expect(await pool.evict("default", "hello")).toBe(1);
	expect([engine.of("hello").length, engine.of("other").length]).toEqual([0, 1]);
});

test("a floor that is lowered is lowered when it says so", async () => {
	const pool = await start({ prewarmed: 3 });
	expect(await pool.setFloor(1)).toBe(2);
	expect(await pool.setFloor(0)).toBe(0);
	expect(engine.agents.size).toBe(0);
	expect(await pool.setFloor("default")).toBe(4);
});

test("a closed pool has removed every sandbox, whatever it did", async () => {
	const pool = await start({ prewarmed: 2 });
	await pool.acquire(version("busy"));
	await use(pool, "idle");
	await pool.close();
	expect(engine.agents.size).toBe(0);
	expect([...engine.removed].sort()).toEqual([...engine.booted].sort());
	expect(pool.list()).toEqual([]);
	expect(troubles).toEqual([]);
});

test("a closed pool lets nobody wait, and takes nobody in", async () => {
	const pool = await start();
	await pool.acquire(version("hello", { concurrency: 1 }));
	const waiting = expect(pool.acquire(version("hello", { concurrency: 1 }))).rejects.toMatchObject({ code: "worker_lost" });
	const boot = Promise.withResolvers<void>();
	engine.onBoot = () => boot.promise;
	const starting = expect(pool.acquire(version("other"))).rejects.toMatchObject({ code: "worker_lost" });
	const closed = pool.close();
	await Promise.all([waiting, starting]);
	boot.resolve();
	await closed;
	expect(pool.stats.waiting).toBe(0);
	await expect(pool.acquire(version("hello"))).rejects.toMatchObject({ code: "worker_lost" });
	await expect(pool.acquireBuild()).rejects.toMatchObject({ code: "worker_lost" });
	expect(engine.agents.size).toBe(0);
	expect(troubles).toEqual([]);
});

describe("a sandbox that is killed while it boots", () => {
	test("is never started when its container isn't yet", async () => {
		const pool = await start();
		const layers = Promise.withResolvers<void>();
		engine.ensureLayers = () => layers.promise;
		const asked = expect(pool.acquire(version("hello"))).rejects.toMatchObject({ code: "platform_error" });
		expect(await pool.kill(pool.list()[0]?.id ?? "")).toBe(true);
		layers.resolve();
		await asked;
		expect(engine.booted).toEqual([]);
		await expect.poll(() => pool.list(), { interval: 5 }).toEqual([]);
		await use(pool, "hello");
	});

	test("is gone when the kill says so, also when its container is just being started", async () => {
		const pool = await start();
		const boot = Promise.withResolvers<void>();
		const began = Promise.withResolvers<void>();
		engine.onBoot = () => {
			began.resolve();
			return boot.promise;
		};
		const asked = expect(pool.acquire(version("hello"))).rejects.toMatchObject({ code: "platform_error" });
		await began.promise;
		const killed = pool.kill(pool.list()[0]?.id ?? "");
		boot.resolve();
		await killed;
		expect(engine.agents.size).toBe(0);
		await asked;
	});
});
