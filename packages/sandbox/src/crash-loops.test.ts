import { type CrashLoop, FROM_AGENT } from "@berth/contracts";
import { afterEach, describe, expect, test, vi } from "vitest";
import { CrashLoops } from "./crash-loops.js";
import { ranOf } from "./lease.js";
import { engine, HEAD, run, start } from "./testing/pools.js";
import { version } from "./testing/versions.js";

const ALLOWED = 3;
afterEach(() => void vi.restoreAllMocks());

const failing = { code: "function_failing" };

/** Runs one invocation of a version, whatever becomes of it. */
async function invoked(pool: Awaited<ReturnType<typeof start>>, name: string, id = "inv_1") {
	const lease = await pool.acquire(version(name), [], { invocation: id, depth: 0 });
	const result = await lease.sandbox.invoke({ ...HEAD, id }, Buffer.alloc(0));
	lease.release(result.healthy, ranOf(result, id, false));
	return result.outcome;
}

/** The monotonic clock, which goes forward when it is told to, too. */
function clock(): (ms: number) => void {
	let aheadMs = 0;
	const now = performance.now.bind(performance);
	vi.spyOn(performance, "now").mockImplementation(() => now() + aheadMs);
	return (ms) => {
		aheadMs += ms;
	};
}

describe("a version whose sandboxes end before they answer", () => {
	const dies: typeof engine.onInvoke = (agent) => engine.exit(agent.sandbox, 1);
	const crashing = async (times: number) => {
		engine.onInvoke = (agent, head) => (agent.function === "crashes" ? dies(agent, head) : agent.answer(head));
		const pool = await start({ crashesAllowed: ALLOWED });
		for (let time = 1; time <= times; time++) expect(await invoked(pool, "crashes", `inv_${time}`)).toBe("crashed");
		return pool;
	};

	test("has no other started after so many, and says what happened; other versions have theirs", async () => {
		const pool = await crashing(ALLOWED);
		const booted = engine.booted.length;
		const refused = await pool.acquire(version("crashes")).catch((error: unknown) => error);
		expect(refused).toMatchObject({
			...failing,
			extra: {
				crashLoop: { crashes: ALLOWED, outcome: "crashed", invocation: "inv_3", error: expect.stringContaining("exited with code 1") },
			},
		});
		expect(engine.booted).toHaveLength(booted);
		expect(pool.failing()).toMatchObject([{ node: "node_test", project: "default", function: "crashes", version: 1, crashes: ALLOWED }]);
		expect(pool.crashLoop("default/crashes:1")?.retryAfterMs).toBeGreaterThan(0);
		expect(await invoked(pool, "hello")).toBe("succeeded");
	});

	test("is tried once when its time has come, nobody beside that; each further crash makes it longer, an answer ends it", async () => {
		const pool = await crashing(ALLOWED);
		const [before] = pool.failing();
		const goOn = clock();
		goOn(before?.retryAfterMs ?? 0);
		const probe = await pool.acquire(version("crashes"));
		await expect(pool.acquire(version("crashes"))).rejects.toMatchObject(failing);
		expect(pool.crashLoop("default/crashes:1")?.retryAfterMs).toBeGreaterThan(0);
		const result = await probe.sandbox.invoke(HEAD, Buffer.alloc(0));
		probe.release(result.healthy, ranOf(result, HEAD.id, false));
		const [after] = pool.failing();
		expect(after).toMatchObject({ crashes: ALLOWED + 1, invocation: HEAD.id });
		// Doubled, with half of it at random: from 1 s on.
		expect(after?.retryAfterMs).toBeGreaterThanOrEqual(1000);
		goOn(2000);
		engine.onInvoke = (agent, head) => agent.answer(head);
		expect(await invoked(pool, "crashes")).toBe("succeeded");
		expect(pool.failing()).toEqual([]);
	});

	test("refuses those, too, who waited for one meanwhile", async () => {
		engine.onSpecialise = (agent) => engine.exit(agent.sandbox, 1);
		const pool = await start({ crashesAllowed: 1 });
		const asked = await Promise.allSettled([1, 2, 3].map(() => pool.acquire(version("crashes", { concurrency: 1 }))));
		expect(asked.map((each) => (each as PromiseRejectedResult).reason)).toMatchObject([{ outcome: "init_error" }, failing, failing]);
		expect(engine.booted).toHaveLength(1);
	});

	test("goes on being served by what has answered, and rests warm", async () => {
		const pool = await start({ crashesAllowed: 1 });
		const [one, two] = [await pool.acquire(version("hello")), await pool.acquire(version("hello"))];
		await run(one);
		engine.onInvoke = dies;
		const result = await two.sandbox.invoke(HEAD, Buffer.alloc(0));
		two.release(result.healthy, ranOf(result, HEAD.id, false));
		expect(pool.crashLoop("default/hello:1")).toBeUndefined();
		engine.onInvoke = (agent, head) => agent.answer(head);
		expect(await invoked(pool, "hello")).toBe("succeeded");
		expect(pool.failing()).toEqual([]);
	});
});

test("what one node finds out is told to others, who start nothing either until its time has come; an answer is told, too", async () => {
	const told: unknown[] = [];
	const target = version("crashes");
	const [one, other] = [new CrashLoops(2, (_, loop) => told.push(loop)), new CrashLoops(2, (_, loop) => told.push(loop))];
	for (const invocation of ["inv_1", "inv_2"]) one.crashed(target, { outcome: "crashed", error: "it ended", invocation });
	expect(told).toMatchObject([{ crashes: 2, invocation: "inv_2" }]);
	other.learn(target, target.key, told[0] as CrashLoop);
	expect(other.refusal(target, 0)).toMatchObject({ ...failing, extra: { crashLoop: { crashes: 2, invocation: "inv_2" } } });
	// What it has seen itself counts more.
	other.learn(target, target.key, { ...(told[0] as CrashLoop), crashes: 9 });
	expect(other.of(target.key, 0)).toMatchObject({ crashes: 2 });
	other.answered(target);
	expect(told).toHaveLength(2);
	expect(told[1]).toBeUndefined();
	expect(other.refusal(target, 0)).toBeUndefined();
});

describe("what doesn't count as a crash", () => {
	test("is a timeout, and a sandbox that we killed; what throws has answered", async () => {
		const usage = { cpuMs: 1, peakMemoryBytes: 1, scratchBytes: 0 };
		const result = { runMs: 1, usage, limitsHit: [], log: { lines: [], truncated: false }, healthy: false };
		expect(ranOf({ ...result, outcome: "timed_out" }, "inv_1", false).end).toBeUndefined();
		expect(ranOf({ ...result, outcome: "crashed" }, "inv_1", true).end).toBeUndefined();
		expect(ranOf({ ...result, outcome: "handler_error" }, "inv_1", false).end).toBe("answered");
	});

	test("is anything where the operator allows any number", () => {
		const loops = new CrashLoops(0);
		for (let time = 0; time < 100; time++) loops.crashed(version("crashes"), { outcome: "crashed", error: "", invocation: "" });
		expect(loops.refusal(version("crashes"), 0)).toBeUndefined();
	});
});

test("a version that can't be loaded counts as one that crashes: each try costs a sandbox", async () => {
	engine.onSpecialise = (agent, { function: id }) =>
		agent.say(FROM_AGENT.failed, { id, phase: "init", error: { name: "Error", message: "no" } });
	const pool = await start({ crashesAllowed: 2 });
	for (const _ of [1, 2]) await expect(pool.acquire(version("broken"))).rejects.toMatchObject({ outcome: "init_error" });
	await expect(pool.acquire(version("broken"))).rejects.toMatchObject({ ...failing, message: expect.stringContaining("init_error: no") });
});
