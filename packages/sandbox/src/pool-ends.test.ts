import { readdirSync } from "node:fs";
import { FROM_AGENT, MIB } from "@berth/contracts";
import { describe, expect, test, vi } from "vitest";
import type { FakeAgent } from "./testing/fake-engine.js";
import { engine, HEAD, RAN, run, start, troubles, use } from "./testing/pools.js";
import { version } from "./testing/versions.js";

describe("a sandbox that is being killed", () => {
	/** Kills take until the test lets them. */
	const slowly = () => {
		const { promise, resolve } = Promise.withResolvers<void>();
		const kill = engine.kill.bind(engine);
		engine.kill = (sandbox) => promise.then(() => kill(sandbox));
		return resolve;
	};

	test.each(["warm", "busy"])("is nobody's next, also when it was %s and is healthy", async (state) => {
		const pool = await start();
		const lease = await pool.acquire(version("hello"));
		if (state === "warm") await run(lease);
		const goOn = slowly();
		const killed = pool.kill(lease.sandbox.id);
		if (state === "busy") await run(lease);
		const next = await pool.acquire(version("hello"));
		expect([next.start, next.sandbox.id === lease.sandbox.id]).toEqual(["boot", false]);
		goOn();
		expect(await killed).toBe(true);
		await expect.poll(() => engine.removed, { interval: 5 }).toContain(lease.sandbox.id);
	});

	test("isn't given to a version when it was prewarmed", async () => {
		const pool = await start({ prewarmed: 1 });
		const [first, ...others] = pool.list();
		for (const { id } of others) await pool.kill(id);
		const goOn = slowly();
		const killed = pool.kill(first?.id ?? "");
		expect((await use(pool, "hello")).sandbox.id).not.toBe(first?.id);
		goOn();
		await killed;
	});
});

describe("a sandbox whose process ends right behind what it said", () => {
	const last = async (words: typeof engine.onInvoke) => {
		engine.onInvoke = (agent, head) => {
			words(agent, head);
			engine.exit(agent.sandbox, 0);
		};
		const pool = await start();
		const { sandbox } = await pool.acquire(version("hello"));
		return { sandbox, result: await sandbox.invoke(HEAD, Buffer.alloc(0)) };
	};

	test("has answered, and takes nothing more", async () => {
		const { sandbox, result } = await last((agent, head) => agent.answer(head));
		expect([result.outcome, sandbox.hasEnded]).toEqual(["succeeded", true]);
	});

	test("has broken the protocol, if that was it", async () => {
		const { result } = await last((agent) => agent.say(FROM_AGENT.hello, {}));
		expect(result).toMatchObject({ outcome: "crashed", error: { name: "ProtocolError" } });
	});

	test("has ended without an answer, if that was nothing", async () => {
		const { result } = await last(() => undefined);
		expect(result).toMatchObject({
			outcome: "crashed",
			error: { name: "ProcessExit", message: "its process exited with code 0 before it answered" },
		});
	});
});

test.each([
	["has closed its connection is killed as what is over: why it ended may still be told", true, (agent: FakeAgent) => agent.hangUp()],
	["breaks the protocol is ended by that", false, (agent: FakeAgent) => agent.say(FROM_AGENT.hello, {})],
])("a sandbox that %s", async (_, isOver, ends) => {
	engine.onInvoke = ends;
	const pool = await start();
	const { sandbox } = await pool.acquire(version("hello"));
	expect((await sandbox.invoke(HEAD, Buffer.alloc(0))).outcome).toBe("crashed");
	expect(engine.kills).toEqual([{ sandbox: sandbox.id, isOver }]);
});

describe("a prewarmed sandbox that dies while it is brought what it is to become", () => {
	/** A caller who has one of so many, whose layers don't come yet. */
	const taken = async (prewarmed: number) => {
		const pool = await start({ prewarmed, memoryBudgetBytes: 256 * MIB });
		await expect.poll(() => pool.list().every(({ state }) => state === "prewarmed"), { interval: 5 }).toBe(true);
		const [first, ...others] = pool.list();
		const layers = Promise.withResolvers<void>();
		engine.ensureLayers = () => layers.promise;
		return { pool, id: first?.id ?? "", others, layers, asked: pool.acquire(version("hello")) };
	};

	test("is replaced by another", async () => {
		const { pool, id, layers, asked } = await taken(2);
		await engine.kill(id);
		await expect.poll(() => pool.list().map((each) => each.id), { interval: 5 }).not.toContain(id);
		layers.resolve();
		const lease = await asked;
		expect([lease.start, lease.sandbox.id === id]).toEqual(["prewarmed", false]);
		await run(lease);
	});

	test("is replaced by one that is booted where there is no other", async () => {
		const { pool, id, others, layers, asked } = await taken(1);
		for (const other of others) await pool.kill(other.id);
		await engine.kill(id);
		layers.resolve();
		const lease = await asked;
		expect([lease.start, lease.sandbox.id === id]).toEqual(["boot", false]);
		await run(lease);
	});

	test("costs nobody's turn when the pool closes meanwhile", async () => {
		const { pool, layers, asked } = await taken(1);
		const refused = expect(asked).rejects.toMatchObject({ code: "worker_lost" });
		const closed = pool.close();
		layers.resolve();
		await Promise.all([refused, closed]);
		expect([pool.list(), troubles]).toEqual([[], []]);
	});
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

describe("a removal", () => {
	test("is waited for by whoever asked for it, not all that come after", async () => {
		const pool = await start();
		await use(pool, "evicted");
		const busy = await pool.acquire(version("other"));
		const removals = new Map<string, () => void>();
		const remove = engine.remove.bind(engine);
		engine.remove = async (sandbox) => {
			await new Promise<void>((resolve) => removals.set(sandbox, resolve));
			await remove(sandbox);
		};
		const evicted = pool.evict("default", "evicted");
		const [first] = [...removals.values()];
		busy.release(false, RAN);
		first?.();
		expect(await evicted).toBe(1);
		for (const goOn of removals.values()) goOn();
	});

	test("that fails is tried again, and its memory counts until it is gone", async () => {
		const pool = await start();
		const lease = await pool.acquire(version("hello"));
		const remove = engine.remove.bind(engine);
		let failures = 1;
		engine.remove = (sandbox) => (failures-- > 0 ? Promise.reject(new Error("device or resource busy")) : remove(sandbox));
		lease.release(false, RAN);
		await expect.poll(() => troubles, { interval: 5 }).toHaveLength(1);
		expect([engine.agents.size, pool.stats.memoryBytes]).toEqual([1, 128 * MIB]);
		await expect.poll(() => pool.stats.memoryBytes, { interval: 5 }).toBe(0);
		expect(engine.removed).toEqual([lease.sandbox.id]);
	});

	test("that fails again and again is waited for only so long, and goes on: what may still run is listed and counts until it is gone", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		const pool = await start({ memoryBudgetBytes: 128 * MIB });
		const lease = await pool.acquire(version("hello"));
		const remove = engine.remove.bind(engine);
		let refused = 0;
		engine.remove = () => {
			refused++;
			return Promise.reject(new Error("device or resource busy"));
		};
		await run(lease);
		const evicted = pool.evict("default", "hello");
		await vi.advanceTimersByTimeAsync(60_000);
		expect(await evicted).toBe(1);
		expect(pool.list().map(({ id, state }) => ({ id, state }))).toEqual([{ id: lease.sandbox.id, state: "retiring" }]);
		expect(pool.stats.memoryBytes).toBe(128 * MIB);
		expect(refused).toBeGreaterThan(3);
		expect(troubles).toHaveLength(refused);
		engine.remove = remove;
		await vi.advanceTimersByTimeAsync(60_000);
		expect([pool.list(), pool.stats.memoryBytes]).toEqual([[], 0]);
		expect(engine.removed).toEqual([lease.sandbox.id]);
	});

	test("that fails is left to the launcher when the pool closes: nobody tries on", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		const pool = await start();
		const lease = await pool.acquire(version("hello"));
		engine.remove = () => Promise.reject(new Error("device or resource busy"));
		lease.release(false, RAN);
		const closed = pool.close();
		await vi.advanceTimersByTimeAsync(10_000);
		await closed;
		const tries = troubles.length;
		await vi.advanceTimersByTimeAsync(600_000);
		expect(troubles).toHaveLength(tries);
	});
});

test("a boot whose cgroup can't be read leaves no descriptor open", async () => {
	const pool = await start();
	const open = () => readdirSync("/proc/self/fd").length;
	const boot = engine.boot.bind(engine);
	engine.boot = async (request) => {
		const answer = await boot(request);
		return { ...answer, cgroup: { ...answer.cgroup, pids: "/nowhere" } };
	};
	await expect(pool.acquire(version("hello"))).rejects.toMatchObject({ code: "platform_error" });
	await expect.poll(() => pool.list(), { interval: 5 }).toEqual([]);
	const before = open();
	for (let i = 0; i < 10; i++) await expect(pool.acquire(version("hello"))).rejects.toMatchObject({ code: "platform_error" });
	await expect.poll(open, { interval: 20 }).toBeLessThan(before + 10);
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

test("who asks for a sandbox when nobody waits for it any more has no start, and nothing is begun for it", async () => {
	const pool = await start();
	const booted = engine.booted.length;
	const gone = AbortSignal.abort();
	await expect(pool.acquire(version("hello"), [new AbortController().signal, gone])).rejects.toMatchObject({ code: "cancelled" });
	expect([pool.stats.waiting, pool.stats.starts, engine.booted.length]).toEqual([0, { boot: 0, prewarmed: 0, warm: 0 }, booted]);
	await pool.close();
});
