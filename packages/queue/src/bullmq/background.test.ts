import { setTimeout as wait } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { BackgroundRecords } from "../background-records.js";
import type { GatewayQueue } from "../invocation-queue.js";
import { BACKGROUND_TOTALS } from "../keys.js";
import { echo, Lanes, NODE, requestOf, settlementOf } from "../testing/lanes.js";

const QUICK = { retry: { attempts: 3, backoffMs: 1 } };

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

const settled = (gateway: GatewayQueue, id: string) =>
	expect.poll(async () => (await gateway.record(id))?.state, { timeout: 10_000 }).toBe("settled");

async function enqueued(gateway: GatewayQueue, version: number) {
	const request = requestOf("", { version });
	await gateway.enqueue(request);
	return request;
}

test("what was accepted survives a crash of Redis, and its result is kept", async () => {
	const gateway = await lanes.gateway();
	const request = requestOf("kept");
	await gateway.enqueue(request);
	expect(await gateway.record(request.id)).toMatchObject({ lane: "background", state: "queued" });
	expect(await gateway.backgroundTotals()).toEqual({ accepted: 1, settled: 0, dead: 0, inFlight: 1 });
	await lanes.server.kill();
	await lanes.server.start();
	await lanes.worker(echo);
	await settled(gateway, request.id);
	expect(await gateway.record(request.id)).toMatchObject({
		last: { outcome: "succeeded", attempt: 1 },
		result: { body: { text: "kept" } },
	});
	await expect.poll(() => gateway.backgroundTotals()).toEqual({ accepted: 1, settled: 1, dead: 0, inFlight: 0 });
});

test("a worker knows of which versions something was accepted, begun or not", async () => {
	const gateway = await lanes.gateway();
	const worker = await lanes.worker(echo);
	const { id } = await enqueued(gateway, 2);
	await settled(gateway, id);
	await worker.drain(0);
	await enqueued(gateway, 3);
	const known = [1, 2, 3].map((version) => worker.hasBackground({ project: "default", function: "echo", version }));
	expect(await Promise.all(known)).toEqual([false, true, true]);
});

test("a failure is tried again, and the function sees which attempt it is", async () => {
	const gateway = await lanes.gateway();
	const attempts: number[] = [];
	await lanes.worker(async ({ attempt }) => {
		attempts.push(attempt);
		return attempt < 3 ? settlementOf("handler_error", attempt) : settlementOf("succeeded", attempt, "at last");
	});
	const request = requestOf("", QUICK);
	await gateway.enqueue(request);
	await settled(gateway, request.id);
	expect(attempts).toEqual([1, 2, 3]);
	expect(await gateway.record(request.id)).toMatchObject({
		last: { attempt: 3, outcome: "succeeded" },
		result: { body: { text: "at last" } },
	});
});

test("what fails every time becomes a dead letter, counted as one", async () => {
	const gateway = await lanes.gateway();
	await lanes.worker(async ({ attempt }) => settlementOf("timed_out", attempt));
	const request = requestOf("", QUICK);
	await gateway.enqueue(request);
	await settled(gateway, request.id);
	await expect.poll(() => gateway.backgroundTotals()).toEqual({ accepted: 1, settled: 0, dead: 1, inFlight: 0 });
	expect(await gateway.record(request.id)).toMatchObject({ last: { attempt: 3, outcome: "timed_out" } });
});

test("that an invocation is over is told once it is settled, however that came, and not before its last attempt", async () => {
	const gateway = await lanes.gateway();
	const attempts: string[] = [];
	const over: string[] = [];
	await lanes.worker(
		async ({ request, attempt }) => {
			attempts.push(request.id);
			expect(over).not.toContain(request.id);
			return settlementOf(request.id === dead.id ? "crashed" : "succeeded", attempt);
		},
		64,
		{
			keep: async () => {
				throw new Error("what can't be kept changes nothing");
			},
			over: async ({ id }) => {
				expect((await gateway.record(id))?.state).toBe("settled");
				over.push(id);
				throw new Error("what can't be freed changes nothing");
			},
		},
	);
	const [fine, dead, old] = [
		requestOf("", QUICK),
		requestOf("", QUICK),
		requestOf("", { ...QUICK, acceptedAtMs: Date.now() - 7 * 3_600_000 }),
	];
	for (const request of [fine, dead, old]) await gateway.enqueue(request);
	await expect.poll(() => over.toSorted()).toEqual([fine.id, dead.id, old.id].sort());
	expect(attempts.filter((id) => id === dead.id)).toHaveLength(3);
	await expect.poll(() => gateway.backgroundTotals()).toEqual({ accepted: 3, settled: 1, dead: 2, inFlight: 0 });
});

test("an invocation older than six hours isn't run any more", async () => {
	const gateway = await lanes.gateway();
	const request = requestOf("", { acceptedAtMs: Date.now() - 7 * 3_600_000 });
	await gateway.enqueue(request);
	await lanes.worker(() => Promise.reject(new Error("it is not to run")));
	await settled(gateway, request.id);
	expect(await gateway.record(request.id)).toMatchObject({ last: { code: "expired_in_queue" } });
});

test("what a dead worker held is taken up by another within the lease, under the next attempt", async () => {
	const gateway = await lanes.gateway();
	const began = Promise.withResolvers<void>();
	const dying = await lanes.worker(async () => {
		began.resolve();
		return await new Promise<never>(() => undefined);
	});
	const request = requestOf();
	await gateway.enqueue(request);
	await began.promise;
	await dying.close();
	const attempts: number[] = [];
	await lanes.worker(async (delivery) => {
		attempts.push(delivery.attempt);
		return await echo(delivery);
	});
	await settled(gateway, request.id);
	expect(attempts).toEqual([2]);
});

test("a Redis that refuses writes for longer than a lock holds costs nothing that was accepted", { timeout: 60_000 }, async () => {
	const gateway = await lanes.gateway();
	const full = Promise.withResolvers<void>();
	const began: string[] = [];
	await lanes.worker(async (delivery) => {
		began.push(delivery.request.id);
		if (began.length <= 4) await full.promise;
		return await echo(delivery);
	}, 20);
	const requests = Array.from({ length: 12 }, () => requestOf());
	for (const request of requests) await gateway.enqueue(request);
	await expect.poll(() => began.length).toBe(4);
	const limit = (bytes: string) => lanes.server.client((redis) => redis.config("SET", "maxmemory", bytes));
	await limit("1");
	full.resolve();
	await wait(7000);
	await limit("0");
	await expect.poll(() => gateway.backgroundTotals(), { timeout: 40_000 }).toEqual({ accepted: 12, settled: 12, dead: 0, inFlight: 0 });
	const records = await Promise.all(requests.map(({ id }) => gateway.record(id)));
	expect(records.map((record) => record?.last?.outcome)).toEqual(requests.map(() => "succeeded"));
});

test("a worker that drains gives back what it hasn't begun", async () => {
	const gateway = await lanes.gateway();
	const worker = await lanes.worker(echo);
	await worker.drain(1000);
	const request = requestOf();
	await gateway.enqueue(request);
	expect(await gateway.record(request.id)).toMatchObject({ state: "queued" });
	await lanes.worker(echo);
	await settled(gateway, request.id);
});

describe("nothing is accepted", () => {
	test("while Redis is away", async () => {
		const gateway = await lanes.gateway();
		const request = requestOf();
		await lanes.server.kill();
		await expect(gateway.enqueue(request)).rejects.toMatchObject({ code: "unavailable" });
		await lanes.server.start();
		await expect
			.poll(async () => [await gateway.backgroundTotals(), await gateway.record(request.id)])
			.toEqual([{ accepted: 0, settled: 0, dead: 0, inFlight: 0 }, undefined]);
	});

	test("when it is full, which is said before anything is written; and when it gets full in the meantime", async () => {
		const limit = (bytes: string) => lanes.server.client((redis) => redis.config("SET", "maxmemory", bytes));
		const gateway = await lanes.gateway();
		await limit("1");
		await expect(gateway.enqueue(requestOf())).rejects.toMatchObject({ code: "storage_full", extra: { retryAfterMs: 60_000 } });
		await expect(gateway.requireRoom(requestOf())).rejects.toMatchObject({ code: "storage_full" });
		await limit("0");
		const other = await lanes.gateway();
		await other.requireRoom(requestOf());
		await limit("1");
		await expect(other.enqueue(requestOf())).rejects.toMatchObject({ code: "unavailable" });
		await limit("0");
		expect(await gateway.backgroundTotals()).toEqual({ accepted: 0, settled: 0, dead: 0, inFlight: 0 });
	});

	test("while it is silent: nothing of it is done when it goes on, however quick a worker is", async () => {
		const gateway = await lanes.gateway();
		const ran: string[] = [];
		await lanes.worker(async (delivery) => {
			ran.push(delivery.request.id);
			return await echo(delivery);
		});
		const [before, after] = [requestOf(), requestOf()];
		await gateway.enqueue(before);
		await settled(gateway, before.id);
		// Once it is known to have room it is asked for none.
		const refused = Array.from({ length: 20 }, () => requestOf());
		const asked = refused.map((request) => gateway.enqueue(request));
		lanes.server.freeze();
		for (const one of asked) await expect(one).rejects.toMatchObject({ code: "in_doubt" });
		lanes.server.resume();
		await expect
			.poll(
				() =>
					gateway.enqueue(after).then(
						() => "accepted",
						() => "refused",
					),
				{ timeout: 10_000 },
			)
			.toBe("accepted");
		await settled(gateway, after.id);
		await expect.poll(() => gateway.backgroundTotals()).toEqual({ accepted: 2, settled: 2, dead: 0, inFlight: 0 });
		expect(ran).toEqual([before.id, after.id]);
		expect(await Promise.all(refused.map(({ id }) => gateway.record(id)))).toEqual(refused.map(() => undefined));
	});
});

describe("records", () => {
	test("an attempt that isn't the newest never settles", async () => {
		await lanes.server.client(async (redis) => {
			const records = new BackgroundRecords(redis);
			const request = requestOf();
			await records.accept(request);
			expect(await records.begin(request, 1, "a", NODE)).toMatchObject({ kind: "begun" });
			expect(await records.begin(request, 2, "b", NODE)).toMatchObject({ kind: "begun" });
			expect(await records.begin(request, 1, "a", NODE)).toEqual({ kind: "stale" });
			expect(await records.end(request, settlementOf("succeeded", 1), "settled")).toBe("stale");
			expect(await records.end(request, settlementOf("crashed", 2), "dead")).toBe("dead");
			expect(await records.end(request, settlementOf("crashed", 2), "dead")).toBe("dead");
			expect(await records.begin(request, 3, "c", NODE)).toEqual({ kind: "settled", dead: true });
		});
	});

	/** What may happen to one of three invocations, in any order and any number of times. */
	const step = fc.record({
		of: fc.nat(2),
		what: fc.constantFrom("accept", "begin", "settle", "bury", "retry", "withdraw"),
		attempt: fc.integer({ min: 1, max: 3 }),
		owner: fc.constantFrom("a", "b"),
	});

	test("accepted = settled + dead + unsettled, whatever happens in whatever order", async () => {
		await lanes.server.client(async (redis) => {
			const records = new BackgroundRecords(redis);
			const conserved = async (steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[]) => {
				await redis.flushall();
				const requests = [requestOf(), requestOf(), requestOf()];
				for (const { of, what, attempt, owner } of steps) {
					const request = requests[of] ?? requestOf();
					const end = (ending: "settled" | "dead" | "retried") => records.end(request, settlementOf("succeeded", attempt), ending);
					if (what === "accept") await records.accept(request);
					else if (what === "begin") await records.begin(request, attempt, owner, NODE);
					else if (what === "withdraw") await records.withdraw(request.id);
					else await end(({ settle: "settled", bury: "dead", retry: "retried" } as const)[what]);
				}
				const { accepted = 0, settled = 0, dead = 0 } = await redis.hgetall(BACKGROUND_TOTALS);
				const states = await Promise.all(requests.map(async ({ id }) => (await records.read(id))?.state));
				const open = states.filter((state) => state === "queued" || state === "running").length;
				expect(Number(accepted)).toBe(Number(settled) + Number(dead) + open);
			};
			await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 20 }), conserved), { numRuns: 150 });
		});
	});
});
