import { FROM_AGENT, MIB } from "@berth/contracts";
import { describe, expect, test, vi } from "vitest";
import type { Pool } from "./pool.js";
import { engine, frozen, HEAD, RAN, run, start, use } from "./testing/pools.js";
import { version } from "./testing/versions.js";

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

describe("a floor", () => {
	test("isn't filled with the memory that the start it was learned from is about to have", async () => {
		const pool = await start({ memoryBudgetBytes: 280 * MIB });
		const asked = pool.acquire(version("a", { memoryMiB: 256 }));
		expect(pool.stats.memoryBytes).toBe(256 * MIB);
		await run(await asked);
	});

	test("is filled with what is left when nobody waits for memory: nothing is booted to be given up for them", async () => {
		const pool = await start({ memoryBudgetBytes: 512 * MIB, prewarmed: 1 });
		const prewarmed = () => pool.list().filter(({ state }) => state === "prewarmed").length;
		const first = await pool.acquire(version("first", { memoryMiB: 256 }));
		await expect.poll(prewarmed, { interval: 5 }).toBe(3);
		const booted = engine.booted.length;
		const large = pool.acquire(version("large", { memoryMiB: 512 }));
		expect((await use(pool, "small")).start).toBe("prewarmed");
		first.release(true, RAN);
		const lease = await large;
		expect(engine.booted.length).toBe(booted + 1);
		await run(lease);
		await expect.poll(prewarmed, { interval: 20 }).toBeGreaterThan(2);
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
		await use(pool, "other", { concurrency: 1 });
		const [first, second] = [await pool.acquire(version("hot")), await pool.acquire(version("other", { concurrency: 1 }))];
		const caller = new AbortController();
		const large = expect(pool.acquire(version("large", { memoryMiB: 256 }), [caller.signal])).rejects.toMatchObject({ code: "cancelled" });
		const again = pool.acquire(version("other", { concurrency: 1 }));
		vi.advanceTimersByTime(600);
		second.release(true, RAN);
		const third = await again;
		vi.advanceTimersByTime(600);
		const next = pool.acquire(version("hot"));
		// The other one could be back at any moment, and then there would be enough.
		first.release(true, RAN);
		expect(pool.stats.waiting).toBe(2);
		caller.abort();
		await large;
		expect((await next).sandbox.id).toBe(first.sandbox.id);
		third.release(true, RAN);
	});
});

describe("a sandbox that could run at once", () => {
	const LONG = { memoryMiB: 512, concurrency: 1 } as const;

	/** A small frozen one, beside a version whose runs were short so far and one of which is under way. */
	const stage = async () => {
		vi.useFakeTimers({ toFake: ["performance"] });
		const pool = await start({ memoryBudgetBytes: 1024 * MIB });
		const small = await use(pool, "small", { memoryMiB: 64 });
		vi.advanceTimersByTime(100);
		await frozen(pool, small.sandbox.id);
		for (let i = 0; i < 3; i++) await use(pool, "long", LONG);
		const lease = await pool.acquire(version("long", LONG));
		return { pool, lease, askSmall: () => use(pool, "small", { memoryMiB: 64 }) };
	};

	/** Somebody asks for more than there is beside that run, and goes away in the end. */
	const askLarge = (pool: Pool) => {
		const caller = new AbortController();
		const asked = pool.acquire(version("large", { memoryMiB: 768 }), [caller.signal]).catch((error: unknown) => error);
		return async () => {
			caller.abort();
			expect(await asked).toMatchObject({ code: "cancelled" });
		};
	};

	test("doesn't stand back for one who waits for a run that has lasted for long already, however short they were before", async () => {
		const { pool, lease, askSmall } = await stage();
		const leave = askLarge(pool);
		vi.advanceTimersByTime(1200);
		expect((await askSmall()).start).toBe("warm");
		await leave();
		lease.release(true, RAN);
	});

	test("stands back no more when that run drags on, or only `waitUntil` holds its sandbox", async () => {
		const { pool, lease, askSmall } = await stage();
		const leave = askLarge(pool);
		const next = pool.acquire(version("long", LONG));
		vi.advanceTimersByTime(600);
		lease.release(true, RAN);
		const second = await next;
		vi.advanceTimersByTime(600);
		const [before, after] = [askSmall(), askSmall()];
		expect(pool.stats.waiting).toBe(3);
		engine.onInvoke = (agent, asked) => agent.answer(asked, { waiting: agent.function === "long" });
		await run(second);
		expect((await Promise.all([before, after])).map((each) => each.start)).toEqual(["warm", "warm"]);
		engine.of("long")[0]?.say(FROM_AGENT.settled, { id: HEAD.id });
		await leave();
	});

	test("stands back for some seconds at most, whatever one waits for", async () => {
		const { pool, lease, askSmall } = await stage();
		const goOn = Promise.withResolvers<void>();
		const remove = engine.remove.bind(engine);
		engine.remove = (sandbox) => goOn.promise.then(() => remove(sandbox));
		lease.release(false, RAN);
		const leave = askLarge(pool);
		vi.advanceTimersByTime(1200);
		const asked = askSmall();
		expect(pool.stats.waiting).toBe(2);
		vi.advanceTimersByTime(3000);
		expect((await asked).start).toBe("warm");
		await leave();
		goOn.resolve();
	});
});
