import { ATTEMPTS_KEPT, type InvocationRequest, newId } from "@berth/contracts";
import { connectRedis } from "@berth/redis";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { BackgroundLists } from "../background-lists.js";
import { BackgroundRecords, DEAD_LETTERS_KEPT, DEFAULT_RETENTION } from "../background-records.js";
import type { GatewayQueue } from "../invocation-queue.js";
import { echo, Lanes, NODE, requestOf, settlementOf } from "../testing/lanes.js";

const QUICK = { attempts: 3, backoffMs: 1 };
const CALM = { attempts: 3, backoffMs: 600_000 };

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

const settled = (gateway: GatewayQueue, id: string) =>
	expect.poll(async () => (await gateway.record(id))?.state, { timeout: 10_000 }).toBe("settled");
const project = "default";
const ids = async (gateway: GatewayQueue, more: object = {}, limit = 100) =>
	(await gateway.list({ project, ...more }, limit)).records.map(({ id }) => id);

async function withRedis<Result>(use: (redis: ReturnType<typeof connectRedis>) => Promise<Result>): Promise<Result> {
	const redis = connectRedis({ url: lanes.server.url, use: "patient", name: "test" });
	try {
		return await use(redis);
	} finally {
		await redis.quit();
	}
}

describe("a record", () => {
	test("keeps every attempt with its error and its log, and where it came from", async () => {
		const gateway = await lanes.gateway(QUICK);
		await lanes.worker(async ({ attempt }) => ({
			...settlementOf(attempt < 3 ? "handler_error" : "succeeded", attempt, "done"),
			logs: { lines: [{ atMs: 1, stream: "stdout", text: `try ${attempt}` }], truncated: false },
		}));
		const request = requestOf("", { source: "hook" });
		await gateway.enqueue(request);
		await settled(gateway, request.id);
		const record = await gateway.record(request.id);
		expect(record).toMatchObject({ source: "hook", result: { body: { text: "done" } }, last: { attempt: 3 } });
		expect(record?.background).toMatchObject({ attemptCount: 3, attempt: 3, outcome: "succeeded", dead: false });
		expect(record?.background?.attempts.map(({ outcome, logs }) => [outcome, logs?.lines?.[0]?.text])).toEqual([
			["handler_error", "try 1"],
			["handler_error", "try 2"],
			["succeeded", "try 3"],
		]);
	});

	test("says of an attempt whose worker was lost when, where and that it was, and what follows goes on from there", async () => {
		await withRedis(async (redis) => {
			const records = new BackgroundRecords(redis);
			const request = requestOf();
			await records.accept(request);
			await records.begin(request, 1, "a", 'node "one"');
			// The same worker once more, and one that comes too late, have lost nothing.
			await records.begin(request, 1, "a", 'node "one"');
			expect((await records.read(request.id))?.background).toMatchObject({ attempts: [], attemptCount: 0 });
			await records.begin(request, 2, "b", "node_two");
			await records.begin(request, 1, "a", 'node "one"');
			const record = await records.read(request.id);
			expect(record).toMatchObject({ state: "running", last: { attempt: 1, code: "worker_lost" } });
			expect(record?.background).toMatchObject({ attempt: 2, attemptCount: 1 });
			const lost = { outcome: "platform_error", code: "worker_lost", node: 'node "one"', limitsHit: [], phases: { startMs: 0, initMs: 0 } };
			expect(record?.background?.attempts).toMatchObject([{ attempt: 1, ...lost }]);
			const { finishedAtMs = 0, phases } = record?.background?.attempts[0] ?? {};
			expect([finishedAtMs >= request.acceptedAtMs, phases?.queueMs, phases?.runMs].map(Number).every((value) => value >= 0)).toBe(true);
			expect(finishedAtMs).toBe(request.acceptedAtMs + (phases?.queueMs ?? 0) + (phases?.runMs ?? 0));
			await records.end(request, settlementOf("crashed", 2), "retried");
			await records.begin(request, 3, "c", NODE);
			await records.end(request, settlementOf("succeeded", 3), "settled");
			const { attempts, attemptCount } = (await records.read(request.id))?.background ?? {};
			expect([attemptCount, ...(attempts ?? []).map(({ outcome }) => outcome)]).toEqual([3, "platform_error", "crashed", "succeeded"]);
		});
	});

	test("of many attempts keeps the first and the newest, and their number", async () => {
		await withRedis(async (redis) => {
			const records = new BackgroundRecords(redis);
			const request = requestOf();
			await records.accept(request);
			for (let attempt = 1; attempt <= 25; attempt++) {
				await records.begin(request, attempt, String(attempt), NODE);
				await records.end(request, settlementOf("crashed", attempt), attempt < 25 ? "retried" : "dead");
			}
			const { attempts, attemptCount } = (await records.read(request.id))?.background ?? {};
			expect(attemptCount).toBe(25);
			expect(attempts?.map(({ attempt }) => attempt)).toEqual([1, ...Array.from({ length: ATTEMPTS_KEPT - 1 }, (_, at) => 17 + at)]);
		});
	});
});

describe("a list", () => {
	test("is newest first, goes on where it ended, and has only what is asked for", async () => {
		const gateway = await lanes.gateway(QUICK);
		const startMs = Date.now() - 60_000;
		const requests: InvocationRequest[] = [];
		for (let at = 0; at < 30; at++) {
			// Ten in one millisecond, thrice: only ids tell them apart.
			const acceptedAtMs = startMs + Math.floor(at / 10);
			requests.push(requestOf("", { id: newId("inv", acceptedAtMs), acceptedAtMs, function: at % 3 === 0 ? "other" : "echo" }));
		}
		for (const request of requests) await gateway.enqueue(request);
		await gateway.enqueue(requestOf("", { project: "theirs" }));
		const all = requests
			.map(({ id }) => id)
			.sort()
			.reverse();
		const seen: string[] = [];
		for (let before: string | undefined; ; ) {
			const page = await gateway.list({ project, ...(before === undefined ? {} : { before }) }, 7);
			seen.push(...page.records.map(({ id }) => id));
			before = page.before;
			if (before === undefined) break;
		}
		expect(seen).toEqual(all);
		const other = requests.filter((request) => request.function === "other").map(({ id }) => id);
		expect((await ids(gateway, { function: "other" })).sort()).toEqual(other.sort());
		const middle = requests.filter(({ acceptedAtMs }) => acceptedAtMs === startMs + 1).map(({ id }) => id);
		expect((await ids(gateway, { sinceMs: startMs + 1, untilMs: startMs + 2 })).sort()).toEqual(middle.sort());
		expect(await ids(gateway, { sinceMs: startMs + 1, untilMs: startMs + 2, before: all[0] as string })).toHaveLength(10);
		expect(await ids(gateway, { state: "settled" })).toEqual([]);
	});

	test("by outcome finds what is settled, and dead letters are those that were given up", async () => {
		const gateway = await lanes.gateway(QUICK);
		const [fine, dead] = [requestOf("fine"), requestOf("dead", { function: "broken" })];
		await lanes.worker(async (delivery) =>
			delivery.request.function === "broken" ? settlementOf("crashed", delivery.attempt) : await echo(delivery),
		);
		for (const request of [fine, dead]) await gateway.enqueue(request);
		await settled(gateway, fine.id);
		await settled(gateway, dead.id);
		expect(await ids(gateway, { outcome: "crashed" })).toEqual([dead.id]);
		expect(await ids(gateway, { outcome: "succeeded" })).toEqual([fine.id]);
		expect(await ids(gateway, { dead: true })).toEqual([dead.id]);
		expect(await ids(gateway, { dead: true, function: "echo" })).toEqual([]);
	});

	test("loses what has no record any more, and its name with the last of it; what is kept stays", async () => {
		await withRedis(async (redis) => {
			const records = new BackgroundRecords(redis, { ...DEFAULT_RETENTION, recordsMs: 60_000 });
			const lists = new BackgroundLists(redis);
			const old = { id: newId("inv", 1000), acceptedAtMs: 1000 };
			const [gone, kept] = [requestOf("", { ...old, function: "gone" }), requestOf("", { ...old, id: newId("inv", 1000) })];
			for (const request of [gone, kept]) await records.accept(request);
			await redis.del(`berth:bg:${gone.id}`);
			expect(await lists.sweep(60_000)).toBe(2);
			expect((await lists.page({ project }, 10)).records.map(({ id }) => id)).toEqual([kept.id]);
			expect((await redis.smembers("berth:bg-lists")).sort()).toEqual(["berth:bg-list:default", "berth:bg-list:default/echo"]);
			expect(await lists.sweep(60_000)).toBe(0);
		});
	});
});

describe("who follows an invocation", () => {
	test("is told when it is settled, also when Redis was away meanwhile", async () => {
		const gateway = await lanes.gateway();
		const request = requestOf("followed");
		await gateway.enqueue(request);
		const heard = Promise.withResolvers<void>();
		const look = async () => {
			try {
				const record = await gateway.record(request.id);
				if (record?.state === "settled") heard.resolve();
			} catch {
				// The connection for reading isn't back yet, where the one for news is: no more news may come.
				setTimeout(look, 100);
			}
		};
		const unfollow = gateway.follow(request.id, () => void look());
		await lanes.server.kill();
		await lanes.server.start();
		await lanes.worker(echo);
		await heard.promise;
		unfollow();
	});
});

describe("a cancelled invocation", () => {
	test("that waits never begins, and is settled once", async () => {
		const gateway = await lanes.gateway();
		const request = requestOf("payload");
		await gateway.enqueue(request);
		expect(await gateway.cancelBackground(request.id, request)).toMatchObject({ found: "queued", request: { body: { text: "payload" } } });
		expect(await gateway.cancelBackground(request.id, request)).toEqual({ found: "settled" });
		let ran = false;
		await lanes.worker(async (delivery) => {
			ran ||= delivery.request.id === request.id;
			return await echo(delivery);
		});
		const next = requestOf();
		await gateway.enqueue(next);
		await settled(gateway, next.id);
		expect(ran).toBe(false);
		const { background } = (await gateway.record(request.id)) ?? {};
		expect(background).toMatchObject({ outcome: "cancelled", code: "cancelled", attempts: [], dead: false });
		await expect.poll(() => gateway.backgroundTotals()).toEqual({ accepted: 2, settled: 2, dead: 0, inFlight: 0 });
	});

	test("that waits to be tried again isn't", async () => {
		const gateway = await lanes.gateway(CALM);
		const request = requestOf();
		await lanes.worker(async ({ attempt }) => settlementOf("crashed", attempt));
		await gateway.enqueue(request);
		await expect.poll(async () => (await gateway.record(request.id))?.background?.attemptCount).toBe(1);
		expect((await gateway.cancelBackground(request.id, request)).found).toBe("queued");
		expect(await gateway.record(request.id)).toMatchObject({
			state: "settled",
			last: { outcome: "crashed" },
			background: { outcome: "cancelled" },
		});
		await expect.poll(() => gateway.backgroundTotals()).toEqual({ accepted: 1, settled: 1, dead: 0, inFlight: 0 });
	});

	test.each(["cancelled", "crashed"] as const)("that runs is told, and ends as cancelled when its attempt ends as %s", async (outcome) => {
		const gateway = await lanes.gateway(CALM);
		const began = Promise.withResolvers<void>();
		await lanes.worker(async ({ attempt, cancelled }) => {
			began.resolve();
			await new Promise((resolve) => cancelled.addEventListener("abort", resolve));
			return settlementOf(outcome, attempt);
		});
		const request = requestOf();
		await gateway.enqueue(request);
		await began.promise;
		expect((await gateway.cancelBackground(request.id, request)).found).toBe("running");
		await settled(gateway, request.id);
		expect(await gateway.record(request.id)).toMatchObject({ background: { outcome: "cancelled", attemptCount: 1, dead: false } });
		await expect.poll(() => gateway.backgroundTotals()).toEqual({ accepted: 1, settled: 1, dead: 0, inFlight: 0 });
	});

	test("that ends well all the same has succeeded", async () => {
		const gateway = await lanes.gateway();
		const [began, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
		await lanes.worker(async (delivery) => {
			began.resolve();
			await end.promise;
			return await echo(delivery);
		});
		const request = requestOf("there");
		await gateway.enqueue(request);
		await began.promise;
		await gateway.cancelBackground(request.id, request);
		end.resolve();
		await settled(gateway, request.id);
		expect(await gateway.record(request.id)).toMatchObject({ background: { outcome: "succeeded" }, result: { body: { text: "there" } } });
	});

	test("outlives the job that a gateway left which died before that was removed; cancelled again, it goes", async () => {
		const gateway = await lanes.gateway();
		const request = requestOf("later", { runAtMs: Date.now() + 30 * 86_400_000 });
		await gateway.enqueue(request);
		const kept = () => withRedis((redis) => redis.pttl(`berth:bg:${request.id}`));
		await withRedis((redis) => new BackgroundRecords(redis).cancel(request.id));
		expect(await kept()).toBeGreaterThan(37 * 86_400_000);
		expect(await gateway.cancelBackground(request.id, request)).toMatchObject({ found: "settled", request: { id: request.id } });
		expect(await kept()).toBeLessThanOrEqual(86_400_000);
		expect(await gateway.backgroundTotals()).toEqual({ accepted: 1, settled: 1, dead: 0, inFlight: 0 });
		expect(await gateway.cancelBackground(request.id, request)).toEqual({ found: "settled" });
	});

	test("whose worker died is told to the next one before it begins", async () => {
		const gateway = await lanes.gateway();
		const request = requestOf();
		await gateway.enqueue(request);
		// As one has it that began it and is gone.
		await withRedis((redis) => redis.hset(`berth:bg:${request.id}`, "state", "running"));
		expect((await gateway.cancelBackground(request.id, request)).found).toBe("running");
		const told: boolean[] = [];
		await lanes.worker(async ({ attempt, cancelled }) => {
			told.push(cancelled.aborted);
			return settlementOf("cancelled", attempt);
		});
		await settled(gateway, request.id);
		expect(told).toEqual([true]);
	});

	test("that nobody knows is none", async () => {
		expect(await (await lanes.gateway()).cancelBackground(newId("inv"), requestOf())).toEqual({ found: "none" });
	});
});

describe("a dead letter", () => {
	async function deadLetter(gateway: GatewayQueue): Promise<string> {
		const request = requestOf("again");
		await gateway.enqueue(request);
		await settled(gateway, request.id);
		return request.id;
	}

	test("has one replay whoever asks, until that is seen to its end; then it is none any more and stays counted", async () => {
		const gateway = await lanes.gateway({ attempts: 1, backoffMs: 1 });
		await lanes.worker(async ({ attempt }) => settlementOf("crashed", attempt));
		const id = await deadLetter(gateway);
		expect(await gateway.keptRequest(id)).toEqual({ trigger: { kind: "event" }, body: { text: "again" }, timeoutMs: 30_000 });
		const [first, second] = [newId("inv"), newId("inv")];
		expect(await gateway.deadLetters.claimReplay(project, id, first)).toEqual({ kind: "claimed", as: first });
		expect(await gateway.deadLetters.claimReplay(project, id, second)).toEqual({ kind: "claimed", as: first });
		expect(await gateway.record(id)).not.toMatchObject({ background: { replayedAs: first } });
		await gateway.deadLetters.replayed(project, id);
		expect(await gateway.deadLetters.claimReplay(project, id, second)).toEqual({ kind: "replayed", as: first });
		expect(await gateway.deadLetters.claimReplay(project, newId("inv"), second)).toEqual({ kind: "none" });
		expect(await ids(gateway, { dead: true })).toEqual([]);
		expect(await gateway.record(id)).toMatchObject({ background: { dead: true, replayedAs: first } });
		expect((await gateway.backgroundTotals()).dead).toBe(1);
	});

	test("that is purged has no record any more, and stays counted", async () => {
		const gateway = await lanes.gateway({ attempts: 1, backoffMs: 1 });
		await lanes.worker(async ({ attempt }) => settlementOf("crashed", attempt));
		const id = await deadLetter(gateway);
		expect(await gateway.deadLetters.purge("theirs", id)).toBe(false);
		expect(await gateway.deadLetters.purge(project, id)).toBe(true);
		expect(await gateway.deadLetters.purge(project, id)).toBe(false);
		expect(await gateway.record(id)).toBeUndefined();
		expect((await gateway.backgroundTotals()).dead).toBe(1);
	});

	test("is kept for a week, and so are the newest alone", async () => {
		await withRedis(async (redis) => {
			const records = new BackgroundRecords(redis);
			const fill = redis.pipeline();
			for (let at = 0; at < DEAD_LETTERS_KEPT.count; at++) fill.zadd("berth:bg-dead:default", 0, newId("inv", 1000 + at));
			await fill.exec();
			const [oldest] = await redis.zrange("berth:bg-dead:default", "0", "0");
			await redis.hset(`berth:bg:${oldest}`, "head", "{}");
			const [, second] = await redis.zrange("berth:bg-dead:default", "0", "1");
			await redis.hset(`berth:bg:${second}`, "head", "{}");
			await redis.zadd("berth:outbox:callback:default", Date.now() + 60_000, second as string);
			const [request, next] = [requestOf(), requestOf()];
			for (const one of [request, next]) {
				await records.begin(one, 1, "a", NODE);
				await records.end(one, settlementOf("crashed", 1), "dead");
			}
			expect(await redis.zcard("berth:bg-dead:default")).toBe(DEAD_LETTERS_KEPT.count);
			expect(await redis.exists(`berth:bg:${oldest}`)).toBe(0);
			// What is still to be posted of one isn't lost with its place.
			expect(await redis.exists(`berth:bg:${second}`)).toBe(1);
			expect(await redis.zscore("berth:bg-dead:default", second as string)).toBeNull();
			expect(await redis.pttl(`berth:bg:${request.id}`)).toBeGreaterThan(DEAD_LETTERS_KEPT.ms - 60_000);
		});
	});
});

test("what was cancelled while nobody listened is found when the worker hears again", async () => {
	const gateway = await lanes.gateway();
	const began = Promise.withResolvers<void>();
	const told = Promise.withResolvers<void>();
	await lanes.worker(async ({ attempt, cancelled }) => {
		cancelled.addEventListener("abort", () => told.resolve());
		began.resolve();
		await told.promise;
		return settlementOf("cancelled", attempt);
	});
	const request = requestOf();
	await gateway.enqueue(request);
	await began.promise;
	await withRedis(async (redis) => {
		// The mark without its message, then a connection that is made anew.
		await new BackgroundRecords(redis).cancel(request.id);
		await redis.call("CLIENT", "KILL", "TYPE", "pubsub");
	});
	await told.promise;
	await settled(gateway, request.id);
});
