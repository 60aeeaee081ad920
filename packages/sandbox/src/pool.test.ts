import { FIXED_LIMITS, FROM_AGENT, MIB } from "@berth/contracts";
import { describe, expect, test, vi } from "vitest";
import type { Lease } from "./lease.js";
import type { Pool } from "./pool.js";
import type { FakeAgent } from "./testing/fake-engine.js";
import { engine, frozen, HEAD, RAN, run, start, use } from "./testing/pools.js";
import { version } from "./testing/versions.js";

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

test("floors that are being filled are waited for until somebody asks for a sandbox, who may keep them from it", async () => {
	const pool = await start();
	const held = Promise.withResolvers<void>();
	engine.onBoot = () => held.promise;
	const filled = pool.setFloor(2);
	let isWarm = false;
	const warmed = pool.warmed().then(() => {
		isWarm = true;
	});
	await expect.poll(() => engine.boots.length, { interval: 5 }).toBeGreaterThan(0);
	await new Promise(setImmediate);
	expect(isWarm).toBe(false);
	const asked = pool.acquire(version("hello"));
	await warmed;
	held.resolve();
	await asked;
	await filled;
});

describe("where an engine can't graft", () => {
	test("a sandbox is booted with its function's layers and limits, and the engine isn't asked for more", async () => {
		engine.grafts = false;
		const pool = await start({ prewarmed: 2, prewarmedBuilds: 1 });
		const leases = [await use(pool, "hello", { memoryMiB: 200 }), await use(pool, "hello", { memoryMiB: 200 }), await use(pool, "other")];
		expect(leases.map((lease) => lease.start)).toEqual(["boot", "warm", "boot"]);
		const { layers } = version("hello").image;
		const own = engine.boots.filter((boot) => boot.own !== undefined);
		expect(own.map((boot) => [boot.own, boot.limits.memoryBytes])).toEqual([
			[layers.map(({ digest }) => digest), 200 * MIB],
			[layers.map(({ digest }) => digest), 128 * MIB],
		]);
		expect(leases[0]?.sandbox.limits.memoryBytes).toBe(200 * MIB);
		expect(engine.specialisations).toEqual([]);
	});

	test("none is kept ready for a version: there would be one for each", async () => {
		engine.grafts = false;
		const pool = await start({ idleTtlMs: 60_000 });
		await pool.expect(version("hello"));
		await (await use(pool, "hello")).sandbox.kill();
		expect((await use(pool, "hello")).start).toBe("boot");
		expect(engine.boots).toHaveLength(2);
	});

	test("a build has its dependencies from the boot of its sandbox on", async () => {
		engine.grafts = false;
		const pool = await start({ prewarmedBuilds: 1 });
		const lease = await pool.acquireBuild({ own: version("hello").image.layers });
		expect([lease.start, engine.boots.at(-1)?.kind, engine.boots.at(-1)?.own?.length]).toEqual(["boot", "build", 1]);
		lease.release(false);
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
		engine.agents.get(lease.sandbox.id)?.cgroup.tell({ processes: 3 });
		lease.release(true, RAN);
		await replaced(pool, lease);
	});

	test("it has the secrets of now: of those that are given others while it runs, rests or starts, none serves again", async () => {
		const pool = await start();
		const given = (revision: string) => ({
			...version("hello"),
			secrets: { revision, values: {}, variables: { KEY: revision }, injections: [] },
		});
		const seen: (string | undefined)[] = [];
		engine.onSpecialise = (agent, { env }) => {
			seen.push(env["KEY"]);
			agent.say(FROM_AGENT.specialised, { handler: "payload", initMs: 1 });
		};
		const resting = await pool.acquire(given("1"));
		resting.release(true, RAN);
		const running = await pool.acquire(given("1"));
		expect(running.sandbox.id).toBe(resting.sandbox.id);
		const second = await pool.acquire(given("2"));
		running.release(true, RAN);
		second.release(true, RAN);
		await expect.poll(() => engine.removed, { interval: 5 }).toEqual([running.sandbox.id]);
		const third = await pool.acquire(given("3"));
		third.release(true, RAN);
		expect((await pool.acquire(given("3"))).sandbox.id).toBe(third.sandbox.id);
		await expect.poll(() => engine.removed, { interval: 5 }).toEqual([running.sandbox.id, second.sandbox.id]);
		expect(seen).toEqual(["1", "2", "3"]);
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
		agent.say(FROM_AGENT.settled, { id: HEAD.id });
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
		const why = expect.stringContaining("all 1 that its concurrency allows were at work");
		const refused = expect(late).rejects.toMatchObject({ code: "start_timed_out", message: why });
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

test("an answer with more in its headers than may be is a crash: an agent that is honest doesn't send it", async () => {
	const pool = await start();
	engine.onInvoke = (agent, head) => agent.answer(head, { response: { status: 200, headers: [["x-much", "y".repeat(1000)]] } });
	const lease = await pool.acquire(version("hello"));
	const result = await lease.sandbox.invoke(HEAD, new Uint8Array());
	lease.release(result.healthy);
	expect(result).toMatchObject({ outcome: "crashed", healthy: false, error: { message: expect.stringContaining("headers") } });
	expect(result.answer).toBeUndefined();
});

test("a floor that is lowered is lowered when it says so", async () => {
	const pool = await start({ prewarmed: 3 });
	expect(await pool.setFloor(1)).toBe(2);
	expect(await pool.setFloor(0)).toBe(0);
	expect(engine.agents.size).toBe(0);
	expect(await pool.setFloor("default")).toBe(4);
});
