import { setTimeout as wait } from "node:timers/promises";
import { Queue } from "bullmq";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { GatewayQueue } from "../invocation-queue.js";
import { functionQueueOf, LANE, QUEUE_PREFIX, SHARED_BACKGROUND_QUEUE } from "../keys.js";
import type { DeliveryHandler } from "../ports.js";
import { echo, enqueueAll, Lanes, requestOf, settlementOf } from "../testing/lanes.js";
import type { CrashLoopOf, LackOf } from "./background-attempts.js";
import { Rests } from "./rests.js";

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

const accountedFor = (gateway: GatewayQueue, settled: number) =>
	expect.poll(() => gateway.backgroundTotals(), { timeout: 20_000 }).toEqual({ accepted: settled, settled, dead: 0, inFlight: 0 });

const requestsOf = (name: string, count: number) => Array.from({ length: count }, () => requestOf(name, { function: name }));
const fill = (gateway: GatewayQueue, name: string, count: number) => enqueueAll(gateway, requestsOf(name, count));

/** Runs of `hog` last until `hold` is resolved. */
function holding() {
	const hold = Promise.withResolvers<void>();
	const began: string[] = [];
	const handler: DeliveryHandler = async (delivery) => {
		began.push(delivery.request.function);
		if (delivery.request.function === "hog") await hold.promise;
		return await echo(delivery);
	};
	return { hold, began, handler };
}

test("who comes after a function with a long backlog of long runs starts at once", async () => {
	const gateway = await lanes.gateway();
	const { hold, began, handler } = holding();
	await fill(gateway, "hog", 100);
	await lanes.worker(handler, 32);
	// Of eight slots, one is kept for others.
	await expect.poll(() => began.length).toBe(7);
	await fill(gateway, "late", 3);
	await expect.poll(() => began.filter((name) => name === "late").length).toBe(3);
	expect(began.filter((name) => name === "hog")).toHaveLength(7);
	hold.resolve();
	await accountedFor(gateway, 103);
});

test("who comes after a function whose runs hold what memory it may have starts at once, and isn't kept by slots that memory isn't there for", async () => {
	const gateway = await lanes.gateway();
	const { hold, began, handler } = holding();
	await fill(gateway, "hog", 100);
	await lanes.worker(handler, 1024, undefined, "1", async (_, name) => ({ memoryMiB: name === "hog" ? 512 : 128 }), { memoryMiB: 8 * 512 });
	// Of memory for eight, one's is kept for others; of 256 slots more are free than anybody wants.
	await expect.poll(() => began.length).toBe(7);
	await fill(gateway, "late", 3);
	await expect.poll(() => began.filter((name) => name === "late").length).toBe(3);
	expect(began.filter((name) => name === "hog")).toHaveLength(7);
	hold.resolve();
	await accountedFor(gateway, 103);
});

test("200 functions at once: each has its jobs run, none twice, and none is left in the index", { timeout: 60_000 }, async () => {
	const gateway = await lanes.gateway();
	const ran = new Map<string, number>();
	const handler: DeliveryHandler = async (delivery) => {
		expect(delivery.attempt).toBe(1);
		ran.set(delivery.request.id, (ran.get(delivery.request.id) ?? 0) + 1);
		return await echo(delivery);
	};
	// So few slots that functions wait for those of others, also when those turn out to have nothing.
	await lanes.worker(handler, 32, undefined, "1");
	await lanes.worker(handler, 32, undefined, "2");
	const requests = Array.from({ length: 3 }, () => Array.from({ length: 200 }, (_, at) => requestsOf(`f${at}`, 1 + (at % 3)))).flat(2);
	await enqueueAll(gateway, requests);
	const all = requests.length;
	await accountedFor(gateway, all);
	expect(ran.size).toBe(all);
	await lanes.server.client((redis) => expect.poll(() => redis.zcard(LANE.index), { timeout: 10_000 }).toBe(0));
});

test("what a dead worker held of many functions is taken up by another", { timeout: 30_000 }, async () => {
	const gateway = await lanes.gateway();
	const began = new Set<string>();
	const dying = await lanes.worker(async ({ request }) => {
		began.add(request.id);
		return await new Promise<never>(() => undefined);
	}, 256);
	await Promise.all(Array.from({ length: 20 }, (_, at) => fill(gateway, `f${at}`, 2)));
	await expect.poll(() => began.size).toBe(40);
	await dying.close();
	const attempts: number[] = [];
	await lanes.worker(async (delivery) => {
		attempts.push(delivery.attempt);
		return await echo(delivery);
	}, 256);
	await accountedFor(gateway, 40);
	expect(attempts).toEqual(Array(40).fill(2));
});

test("what waits in the queue that all functions shared is still run after an upgrade", async () => {
	const gateway = await lanes.gateway();
	const request = requestOf("from before");
	await lanes.server.client(async (redis) => {
		const shared = new Queue(SHARED_BACKGROUND_QUEUE, { connection: redis, prefix: QUEUE_PREFIX });
		await shared.add("invocation", request, { jobId: request.id, attempts: 3, removeOnComplete: true });
		await redis.hset("berth:totals:background", "accepted", 1);
		await redis.hset(`berth:bg:${request.id}`, { head: "{}", state: "queued", fence: 0, queuedAt: Date.now() });
		await shared.close();
	});
	await lanes.worker(echo);
	await accountedFor(gateway, 1);
	expect(await gateway.record(request.id)).toMatchObject({ state: "settled", result: { body: { text: "from before" } } });
});

test("a function that fell out of the index is put back when a worker starts", async () => {
	const gateway = await lanes.gateway();
	await fill(gateway, "echo", 1);
	await lanes.server.client((redis) => redis.del(LANE.index));
	expect((await gateway.backgroundTotals()).inFlight).toBe(0);
	await lanes.worker(echo);
	await accountedFor(gateway, 1);
});

test("a job whose gateway died before anybody heard of it is found", async () => {
	const gateway = await lanes.gateway();
	await lanes.worker(echo);
	const request = requestOf("unheard");
	await lanes.server.client(async (redis) => {
		// As `enqueue` begins, up to the job.
		await redis.zadd(LANE.index, Date.now(), "default/echo");
		const queue = new Queue(functionQueueOf("default/echo"), { connection: redis, prefix: QUEUE_PREFIX });
		await queue.add("invocation", request, { jobId: request.id, attempts: 3, removeOnComplete: true });
		await queue.close();
	});
	await accountedFor(gateway, 1);
});

describe("a function's limits", () => {
	/** Deliveries that end when they are told to, and how many there were at a time. */
	function counted(runMs: number, heldAt = 0) {
		const seen = { now: 0, most: 0, began: [] as number[], heldAt, held: Promise.withResolvers<void>() };
		const handler: DeliveryHandler = async (delivery) => {
			seen.most = Math.max(seen.most, ++seen.now);
			seen.began.push(Date.now());
			if (seen.now === seen.heldAt) await seen.held.promise;
			await wait(runMs);
			seen.now--;
			return await echo(delivery);
		};
		return { seen, handler };
	}

	test("so many at a time, over all nodes, and again as many when they change", async () => {
		const gateway = await lanes.gateway();
		const { seen, handler } = counted(20, 2);
		const limits = { concurrency: 2 };
		const few = { project: "default", function: "few" };
		await fill(gateway, "few", 30);
		const workers = [
			await lanes.worker(handler, 64, undefined, "1", async () => limits),
			await lanes.worker(handler, 64, undefined, "2", async () => limits),
		];
		await expect.poll(() => gateway.heldUp(few)).toEqual({ paused: false, concurrency: 2 });
		seen.held.resolve();
		await accountedFor(gateway, 30);
		expect(seen.most).toBe(2);
		expect(await gateway.heldUp(few)).toEqual({ paused: false });
		limits.concurrency = 5;
		for (const worker of workers) worker.changed("default/few");
		await lanes.server.client((redis) =>
			expect.poll(() => redis.hget(`${QUEUE_PREFIX}:${functionQueueOf("default/few")}:meta`, "concurrency")).toBe("5"),
		);
		Object.assign(seen, { heldAt: 5, held: Promise.withResolvers<void>() });
		await fill(gateway, "few", 60);
		await expect.poll(() => gateway.heldUp(few)).toEqual({ paused: false, concurrency: 5 });
		seen.held.resolve();
		await accountedFor(gateway, 90);
		expect(seen.most).toBe(5);
	});

	test("so many in a time", async () => {
		const gateway = await lanes.gateway();
		const { seen, handler } = counted(0);
		const rate = { limit: 3, periodMs: 600 };
		await fill(gateway, "slow", 9);
		await lanes.worker(handler, 64, undefined, "1", async () => ({ rate }));
		const heldUp = () => gateway.heldUp({ project: "default", function: "slow" });
		await expect.poll(heldUp, { interval: 5 }).toMatchObject({ paused: false, rate: { limit: 3, freeInMs: expect.any(Number) } });
		await accountedFor(gateway, 9);
		// A period begins with its first one, as Redis' clock has it; that one may be later here.
		for (const at of [3, 6]) expect((seen.began[at] ?? 0) - (seen.began[at - 3] ?? 0)).toBeGreaterThanOrEqual(rate.periodMs / 2);
	});
});

test("what a paused function has waits, whoever starts, while others go on; resumed, it runs", async () => {
	const gateway = await lanes.gateway();
	const of = { project: "default", function: "resting" };
	await fill(gateway, "resting", 1);
	expect(await gateway.pause(of)).toEqual({ paused: true, waiting: 1, delayed: 0, running: 0 });
	const ran: string[] = [];
	await lanes.worker(async (delivery) => {
		ran.push(delivery.request.function);
		return await echo(delivery);
	});
	await fill(gateway, "resting", 1);
	await fill(gateway, "awake", 1);
	await expect.poll(() => ran).toEqual(["awake"]);
	expect(await gateway.paused("default")).toEqual(new Set(["resting"]));
	expect(await gateway.paused("def")).toEqual(new Set());
	expect(ran).toEqual(["awake"]);
	await gateway.resume(of);
	await accountedFor(gateway, 3);
	expect(await gateway.backlog(of)).toEqual({ paused: false, waiting: 0, delayed: 0, running: 0 });
});

describe("what a node can't run", () => {
	test("isn't taken by it: it waits, untried, while others go on, and runs where it can", async () => {
		const gateway = await lanes.gateway();
		const of = { project: "default", function: "special" };
		await fill(gateway, "special", 3);
		const here: string[] = [];
		await lanes.worker(
			async (delivery) => {
				here.push(delivery.request.function);
				return await echo(delivery);
			},
			64,
			undefined,
			"1",
			async (_, name) => ({ isElsewhere: name === "special" }),
		);
		await fill(gateway, "plain", 1);
		await expect.poll(() => here).toEqual(["plain"]);
		expect(await gateway.backlog(of)).toEqual({ paused: false, waiting: 3, delayed: 0, running: 0 });
		const attempts: number[] = [];
		await lanes.worker(
			async (delivery) => {
				attempts.push(delivery.attempt);
				return await echo(delivery);
			},
			64,
			undefined,
			"2",
		);
		await accountedFor(gateway, 4);
		expect(attempts).toEqual([1, 1, 1]);
		expect(here).toEqual(["plain"]);
	});

	test("of another version than the live one is put back without a failure, though it may have one attempt only", async () => {
		const gateway = await lanes.gateway({ attempts: 1 });
		const asked: string[] = [];
		const ran: string[] = [];
		const request = requestOf("", { version: 7 });
		await gateway.enqueue(request);
		const handler: DeliveryHandler = async (delivery) => {
			ran.push(delivery.request.id);
			return await echo(delivery);
		};
		let isAble = false;
		const lackOf: LackOf = async ({ id, version }) => {
			asked.push(id);
			return version !== 7 || isAble ? undefined : "the runtime class runsc";
		};
		await lanes.worker(handler, 64, undefined, "1", undefined, { lackOf });
		await expect.poll(() => asked).toEqual([request.id]);
		await expect.poll(() => gateway.backlog(request)).toMatchObject({ waiting: 0, delayed: 1, running: 0 });
		expect(await gateway.record(request.id)).toMatchObject({ state: "queued" });
		isAble = true;
		await accountedFor(gateway, 1);
		expect(ran).toEqual([request.id]);
	});

	test("costs the job nothing to be looked at there: neither the number of its attempt, nor a place in its function's rate", async () => {
		const gateway = await lanes.gateway();
		const requests = [1, 2, 3].map(() => requestOf("", { version: 7 }));
		let looks = 0;
		let isAble = false;
		const lackOf: LackOf = async () => (isAble ? undefined : ++looks > 0 ? "the runtime class runsc" : undefined);
		const attempts: number[] = [];
		// Three looks would be all that may begin in a minute.
		const limitsOf = async () => ({ rate: { limit: 3, periodMs: 60_000 } });
		const handler: DeliveryHandler = async (delivery) => {
			attempts.push(delivery.attempt);
			return await echo(delivery);
		};
		await lanes.worker(handler, 64, undefined, "1", limitsOf, { lackOf });
		await Promise.all(requests.map((request) => gateway.enqueue(request)));
		await expect.poll(() => looks).toBe(3);
		await expect.poll(() => gateway.backlog(requestOf())).toMatchObject({ waiting: 0, delayed: 3, running: 0 });
		isAble = true;
		await accountedFor(gateway, 3);
		expect(attempts).toEqual([1, 1, 1]);
		for (const { id } of requests) expect(await gateway.record(id)).toMatchObject({ background: { attemptCount: 1, attempt: 1 } });
	});

	test.each([
		["of its live version", true],
		["of another version", false],
	])(
		"ages there as anywhere, %s: when no node has run it in time it ends as expired, and says what it waited for",
		async (_, isElsewhere) => {
			const gateway = await lanes.gateway();
			const ran: string[] = [];
			const handler: DeliveryHandler = async (delivery) => {
				ran.push(delivery.request.id);
				return await echo(delivery);
			};
			const lackOf: LackOf = async () => "the runtime class runsc";
			await lanes.worker(handler, 64, undefined, "1", async () => ({ isElsewhere }), { lackOf });
			const requests = [1, 2, 3].map(() => requestOf("", { retry: { maxAgeMs: 1000 } }));
			await Promise.all(requests.map((request) => gateway.enqueue(request)));
			await expect.poll(() => gateway.backgroundTotals(), { timeout: 10_000 }).toEqual({ accepted: 3, settled: 0, dead: 3, inFlight: 0 });
			for (const { id } of requests)
				expect(await gateway.record(id)).toMatchObject({
					state: "settled",
					background: { dead: true, code: "expired_in_queue", attemptCount: 1 },
					last: {
						error: { message: expect.stringMatching(/maxAgeMs of 1000 allows: it waited for a node that has the runtime class runsc\.$/) },
					},
				});
			expect(ran).toEqual([]);
			await lanes.server.client((redis) => expect.poll(() => redis.zcard(LANE.index), { timeout: 10_000 }).toBe(0));
		},
	);
});

describe("a job of a version that crashes again and again", () => {
	const crashLoop = { crashes: 5, outcome: "crashed", error: "it ended", invocation: "inv_1", retryAfterMs: 20 } as const;
	test("is left alone until its version may be tried, and costs no attempt; other versions run meanwhile", async () => {
		const gateway = await lanes.gateway({ attempts: 1 });
		const ran: string[] = [];
		const handler: DeliveryHandler = async (delivery) => {
			ran.push(delivery.request.id);
			return await echo(delivery);
		};
		let isResting = true;
		const [resting, other] = [requestOf("", { version: 7 }), requestOf("", { version: 8 })];
		const crashLoopOf: CrashLoopOf = ({ version }) => (version === 7 && isResting ? { ...crashLoop, retryAfterMs: 50 } : undefined);
		await lanes.worker(handler, 64, undefined, "1", undefined, { crashLoopOf });
		await gateway.enqueue(resting);
		await gateway.enqueue(other);
		await expect.poll(() => ran).toEqual([other.id]);
		expect(await gateway.record(resting.id)).toMatchObject({ state: "queued" });
		isResting = false;
		await accountedFor(gateway, 2);
		expect(ran).toEqual([other.id, resting.id]);
	});

	test("that began before that was known is put off: no attempt of it is on record, and the next has the number that it had", async () => {
		const gateway = await lanes.gateway({ attempts: 1 });
		const request = requestOf();
		const job = `${QUEUE_PREFIX}:${functionQueueOf("default/echo")}:${request.id}`;
		const stalls: unknown[] = [];
		const numbers: number[] = [];
		await lanes.worker(async ({ attempt, ...delivery }) => {
			stalls.push(await lanes.server.client((redis) => redis.hget(job, "stc")));
			numbers.push(attempt);
			if (numbers.length > 2) return await echo({ attempt, ...delivery });
			const { attempt: refused } = settlementOf("platform_error", attempt);
			return { attempt: { ...refused, code: "function_failing", crashLoop } };
		});
		await gateway.enqueue(request);
		await accountedFor(gateway, 1);
		// Each time it was taken once its rest was over: none lay there until its lock had ended.
		expect(stalls).toEqual([null, null, null]);
		expect(numbers).toEqual([1, 1, 1]);
		const record = await gateway.record(request.id);
		expect(record).toMatchObject({ state: "settled", last: { outcome: "succeeded", attempt: 1 }, background: { attemptCount: 1 } });
		expect(record?.background?.attempts).toHaveLength(1);
	});

	test("and was cancelled when it would have been put off ends by that", async () => {
		const gateway = await lanes.gateway({ attempts: 1 });
		const request = requestOf();
		await lanes.worker(async ({ attempt }) => {
			await gateway.cancelBackground(request.id, request);
			const { attempt: refused } = settlementOf("platform_error", attempt);
			return { attempt: { ...refused, code: "function_failing", crashLoop } };
		});
		await gateway.enqueue(request);
		await accountedFor(gateway, 1);
		expect(await gateway.record(request.id)).toMatchObject({ state: "settled", background: { outcome: "cancelled" } });
	});

	test("and has waited for longer than it may ends as a dead letter that says so", async () => {
		const gateway = await lanes.gateway();
		await lanes.worker(echo, 64, undefined, "1", undefined, { crashLoopOf: () => ({ ...crashLoop, retryAfterMs: 0 }) });
		const request = requestOf("", { acceptedAtMs: Date.now() - 5000, retry: { maxAgeMs: 1000 } });
		await gateway.enqueue(request);
		await expect.poll(async () => (await gateway.record(request.id))?.state, { timeout: 10_000 }).toBe("settled");
		const message = expect.stringContaining("since it crashed 5 times in a row (function_failing; crashed, at inv_1: it ended)");
		expect(await gateway.record(request.id)).toMatchObject({ last: { code: "expired_in_queue", error: { message } } });
	});
});

test("jobs of a version that rests come again one after another, and none is put off for too long", () => {
	// Any clock: sums of some of its times are a little more than their parts.
	for (const nowMs of Array.from({ length: 1000 }, (_, at) => at * 7.31)) {
		vi.spyOn(performance, "now").mockReturnValue(nowMs);
		const rests = new Rests();
		expect([rests.until("default/f:1", 1000), rests.until("default/f:2", 1000)]).toEqual([1000, 1000]);
		expect(rests.until("default/f:1", 1000)).toBeCloseTo(1100, -0.5);
	}
	vi.restoreAllMocks();
	const rests = new Rests();
	for (let job = 0; job < 10_000; job++) expect(rests.until("default/f:1", 1000)).toBeLessThanOrEqual(1000 + 5 * 60_000);
});

test("what is for later runs then, not before, and its age counts from then", async () => {
	const gateway = await lanes.gateway();
	const began: number[] = [];
	await lanes.worker(async (delivery) => {
		began.push(Date.now());
		return await echo(delivery);
	});
	const runAtMs = Date.now() + 1200;
	const later = requestOf("later", { function: "later", runAtMs, acceptedAtMs: Date.now() - 60_000, retry: { maxAgeMs: 30_000 } });
	await gateway.enqueue(later);
	expect(await gateway.record(later.id)).toMatchObject({ state: "queued", runAtMs });
	expect(await gateway.backlog(later)).toMatchObject({ waiting: 0, delayed: 1 });
	await accountedFor(gateway, 1);
	expect(began[0]).toBeGreaterThanOrEqual(runAtMs);
	expect(await gateway.record(later.id)).toMatchObject({ last: { outcome: "succeeded" } });
});

test("an invocation has the attempts that its version gave it", async () => {
	const gateway = await lanes.gateway();
	const attempts: number[] = [];
	await lanes.worker(async ({ attempt }) => {
		attempts.push(attempt);
		return settlementOf("handler_error", attempt);
	});
	await gateway.enqueue(requestOf("", { retry: { attempts: 5, backoffMs: 1 } }));
	await expect.poll(() => gateway.backgroundTotals(), { timeout: 10_000 }).toEqual({ accepted: 1, settled: 0, dead: 1, inFlight: 0 });
	expect(attempts).toEqual([1, 2, 3, 4, 5]);
});
