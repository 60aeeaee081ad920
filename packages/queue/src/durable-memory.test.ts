import { type InvocationRequest, KIB, MIB, newId } from "@berth/contracts";
import { connectRedis, type Redis } from "@berth/redis";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { BackgroundLists } from "./background-lists.js";
import { BackgroundRecords, DEFAULT_RETENTION } from "./background-records.js";
import { DeadLetters } from "./dead-letters.js";
import { DurableMemory } from "./durable-memory.js";
import type { GatewayQueue } from "./invocation-queue.js";
import { MEMORY_PARTS } from "./memory-script.js";
import { openOutbox } from "./open.js";
import type { FollowUp } from "./outbox.js";
import { Lanes, NODE, requestOf, settlementOf } from "./testing/lanes.js";

let lanes: Lanes;
let redis: Redis;
beforeAll(async () => {
	lanes = await Lanes.start();
	redis = connectRedis({ url: lanes.server.url, use: "patient", name: "test" });
});
afterEach(async () => {
	await redis.config("SET", "maxmemory", "0");
	await lanes.clear();
});
afterAll(async () => {
	await redis.quit();
	await lanes.stop();
});

const KEPT = "berth:bg-kept";
const DEAD = "berth:bg-kept-dead";
const LINE = { atMs: 1, stream: "stdout" } as const;

const usedBytes = async () => Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1]);

/** Gives it as much room as it uses and this. */
async function roomOf(bytes: number): Promise<number> {
	const max = (await usedBytes()) + bytes;
	await redis.config("SET", "maxmemory", String(max));
	return max;
}

async function settle(
	records: BackgroundRecords,
	more: Partial<InvocationRequest> = {},
	ending: "settled" | "dead" = "settled",
	text = "",
) {
	const request = requestOf(text, more);
	await records.accept(request);
	await records.begin(request, 1, "a", NODE);
	await records.end(request, settlementOf(ending === "dead" ? "crashed" : "succeeded", 1, text), ending);
	return request;
}

const kept = async (requests: readonly InvocationRequest[]) =>
	(await Promise.all(requests.map(({ id }) => redis.exists(`berth:bg:${id}`)))).filter(Boolean).length;
const bytesOf = async (set: string, project = "default") => Number((await redis.zscore(set, project)) ?? 0);

/** Adds until that is refused. */
async function fill(
	gateway: GatewayQueue,
	body: string,
): Promise<{ readonly accepted: InvocationRequest[]; readonly refusals: unknown[] }> {
	const [accepted, refusals]: [InvocationRequest[], unknown[]] = [[], []];
	while (refusals.length === 0) {
		const requests = Array.from({ length: 25 }, () => requestOf(body, { retry: { attempts: 3, backoffMs: 1 } }));
		const added = async (request: InvocationRequest) => gateway.enqueue(request).then(() => accepted.push(request));
		const ends = await Promise.allSettled(requests.map(added));
		refusals.push(...ends.flatMap((end) => (end.status === "rejected" ? [end.reason] : [])));
	}
	return { accepted, refusals };
}

test("a Redis that is filled to the brim by what is accepted settles and cancels all of it, and takes on new work again then", {
	timeout: 60_000,
}, async () => {
	const gateway = await lanes.gateway();
	const filled = Promise.withResolvers<void>();
	// Each fails with all that it may print, and says as much as it may then.
	const logs = { lines: [{ ...LINE, text: "l".repeat(3 * KIB) }], truncated: false };
	// What is on its way to Redis is taken, too: of more at a time it would be a part of so small a one that counts.
	await lanes.worker(async ({ request, attempt }) => {
		if (request.function === "echo") await filled.promise;
		return attempt < 2
			? { ...settlementOf("crashed", attempt), logs }
			: { ...settlementOf("succeeded", attempt, "r".repeat(3 * KIB)), logs };
	}, 6);
	// What scripts and connections take isn't what is looked at here.
	const first = requestOf("", { function: "first", retry: { attempts: 3, backoffMs: 1 } });
	await gateway.enqueue(first);
	await expect.poll(async () => (await gateway.record(first.id))?.state).toBe("settled");
	const max = await roomOf(1.25 * MIB);
	const { accepted, refusals } = await fill(await lanes.gateway(), "x".repeat(512));
	for (const refusal of refusals)
		expect(refusal).toMatchObject({ code: "storage_full", message: expect.stringMatching(/nothing was accepted$/) });
	expect(accepted.length).toBeGreaterThan(100);
	const { takenBytes, maxBytes } = await new DurableMemory(redis).figures();
	expect(maxBytes).toBe(max);
	expect(takenBytes / max).toBeGreaterThan(MEMORY_PARTS.work - 0.05);
	expect(takenBytes / max).toBeLessThan(MEMORY_PARTS.work + 0.05);
	const [cancelled] = accepted.toReversed() as [InvocationRequest];
	expect((await gateway.cancelBackground(cancelled.id, cancelled)).found).toBe("queued");
	filled.resolve();
	const all = accepted.length + 1;
	await expect.poll(() => gateway.backgroundTotals(), { timeout: 50_000 }).toEqual({ accepted: all, settled: all, dead: 0, inFlight: 0 });
	// Not one write was refused.
	expect(await redis.info("errorstats")).not.toContain("errorstat_OOM");
	await expect.poll(() => gateway.enqueue(requestOf()).then(() => "accepted", String)).toBe("accepted");
});

describe("settled records", () => {
	test("go when new work wants their room, the oldest of who has most first; what isn't settled, dead letters and another project's stay", async () => {
		const records = new BackgroundRecords(redis);
		const waiting = requestOf();
		await records.accept(waiting);
		const dead = await settle(records, {}, "dead");
		const text = "x".repeat(2 * KIB);
		const theirs = await Promise.all(Array.from({ length: 20 }, () => settle(records, { project: "theirs" }, "settled", text)));
		const ours: InvocationRequest[] = [];
		for (let at = 0; at < 200; at++) ours.push(await settle(records, {}, "settled", text));
		expect(await bytesOf(KEPT)).toBeGreaterThan(200 * 4 * KIB);
		await redis.config("SET", "maxmemory", String(Math.round((await usedBytes()) / MEMORY_PARTS.history - 300 * KIB)));
		expect(await new DurableMemory(redis).full()).toBeUndefined();
		const left = await kept(ours);
		expect(left).toBeGreaterThan(50);
		expect(left).toBeLessThan(190);
		expect(await kept(ours.slice(-left))).toBe(left);
		expect(await kept([waiting, dead, ...theirs])).toBe(22);
		expect([await redis.zcard("berth:bg-list:default"), await redis.zcard("berth:bg-list:default/echo")]).toEqual([left + 2, left + 2]);
	});

	test("of a project are held to its budget as the next one is settled; those with something to follow, or whose job is there, stay", async () => {
		const records = new BackgroundRecords(redis, { ...DEFAULT_RETENTION, recordBytes: 40 * KIB });
		const followed = await settle(records, { callback: "http://receiver.test/" });
		const left = await settle(records);
		await redis.hset(`berth:q:b-default/echo:${left.id}`, "data", "{}");
		const all: InvocationRequest[] = [];
		for (let at = 0; at < 40; at++) all.push(await settle(records));
		expect(await bytesOf(KEPT)).toBeLessThan(40 * KIB);
		const remain = await kept(all);
		expect(remain).toBeGreaterThan(5);
		expect(await kept(all.slice(-remain))).toBe(remain);
		expect(await kept([followed, left])).toBe(2);
		// Once that is over they go as any other.
		await redis.del(`berth:q:b-default/echo:${left.id}`);
		const outbox = await openOutbox({ durableUrl: lanes.server.url });
		const { taken } = await outbox.claim("callback", 8);
		await outbox.note(taken[0] as FollowUp, { url: "http://receiver.test/", state: "delivered", attempts: 1 });
		await outbox.close();
		for (let at = 0; at < 40; at++) await settle(records);
		expect(await kept([followed, left])).toBe(0);
	});

	test("whose callback is sent again stay until that is over", async () => {
		const records = new BackgroundRecords(redis, { ...DEFAULT_RETENTION, recordBytes: 0 });
		const url = "http://receiver.test/";
		const outbox = await openOutbox({ durableUrl: lanes.server.url });
		const taken = async () => (await outbox.claim("callback", 8)).taken[0] as FollowUp;
		const one = await settle(new BackgroundRecords(redis), { callback: url });
		await outbox.note(await taken(), { url, state: "failed", attempts: 1 });
		expect(await redis.zcard(`${KEPT}:default`)).toBe(1);
		expect(await outbox.again(one)).toBe(true);
		await settle(records);
		expect(await kept([one])).toBe(1);
		await outbox.note(await taken(), { url, state: "waiting", attempts: 2 }, 0);
		await settle(records);
		expect(await kept([one])).toBe(1);
		await outbox.note(await taken(), { url, state: "delivered", attempts: 3 });
		await outbox.close();
		await settle(records);
		expect(await kept([one])).toBe(0);
	});

	test("are still known by ids that may be asked for again once they went for room, before their time, or as the oldest dead letters", async () => {
		const gateway = await lanes.gateway();
		const runs: string[] = [];
		await lanes.worker(async ({ request, attempt }) => {
			runs.push(request.id);
			return settlementOf(request.function === "dead" ? "crashed" : "succeeded", attempt);
		});
		const retry = { attempts: 1, backoffMs: 1 };
		const again = [requestOf(), requestOf("", { function: "dead", retry })];
		const once = requestOf();
		for (const request of again) await gateway.enqueue(request, "leave");
		await gateway.enqueue(once);
		const states = async () => await Promise.all([...again, once].map(async ({ id }) => (await gateway.record(id))?.state));
		await expect.poll(states).toEqual(["settled", "settled", "settled"]);
		await expect.poll(async () => (await gateway.depth()).background.active).toBe(0);
		await redis.config("SET", "maxmemory", String(Math.round((await usedBytes()) / 2)));
		await new DurableMemory(redis).full();
		await redis.config("SET", "maxmemory", "0");
		expect(await states()).toEqual([undefined, undefined, undefined]);
		expect((await redis.zrange("berth:bg-known:default", "0", "-1")).sort()).toEqual(again.map(({ id }) => id).sort());
		for (const request of again) await gateway.enqueue(request, "leave");
		await expect.poll(() => gateway.backgroundTotals()).toEqual({ accepted: 3, settled: 2, dead: 1, inFlight: 0 });
		expect(runs).toHaveLength(3);
		// One whose time is over.
		const records = new BackgroundRecords(redis);
		const old = await settle(records, { again: true });
		await redis.pexpire(`berth:bg:${old.id}`, 1);
		await expect.poll(() => kept([old])).toBe(0);
		expect(await records.begin(old, 1, "b", NODE)).toEqual({ kind: "settled", dead: false });
		expect(await records.accept(old)).toBe(false);
	});

	test("go, and dead letters then too, so that those of many projects leave room for what was accepted", async () => {
		const records = new BackgroundRecords(redis);
		const waiting = requestOf();
		await records.accept(waiting);
		const text = "x".repeat(4 * KIB);
		const dead: InvocationRequest[] = [];
		for (let at = 0; at < 60; at++) dead.push(await settle(records, { project: `p${at % 6}` }, "dead", text));
		await redis.config("SET", "maxmemory", String(Math.round((await usedBytes()) / MEMORY_PARTS.work - 100 * KIB)));
		expect(await new DurableMemory(redis).full()).toBeUndefined();
		const left = await kept(dead);
		expect(left).toBeGreaterThan(10);
		expect(left).toBeLessThan(55);
		expect(await kept([waiting, ...dead.slice(-6)])).toBe(7);
	});

	test("and dead letters are counted no more when they are replayed, purged or expired", async () => {
		const records = new BackgroundRecords(redis, { ...DEFAULT_RETENTION, recordsMs: 1 });
		const letters = new DeadLetters(redis);
		const [replayed, purged] = [await settle(records, {}, "dead"), await settle(records, {}, "dead")];
		expect(await bytesOf(DEAD)).toBeGreaterThan(2 * KIB);
		await letters.purge("default", purged.id);
		await letters.claimReplay("default", replayed.id, newId("inv"));
		await letters.replayed("default", replayed.id);
		expect([await bytesOf(DEAD), await redis.zcard(`${KEPT}:default`)]).toEqual([0, 1]);
		await settle(records, { project: "theirs" });
		const swept = async () => {
			await redis.del("berth:bg-swept");
			await new BackgroundLists(redis).sweep(0);
			return await redis.exists(`${KEPT}:theirs`);
		};
		await expect.poll(swept).toBe(0);
		expect(await bytesOf(KEPT, "theirs")).toBe(0);
		expect(await bytesOf(KEPT)).toBeGreaterThan(KIB);
	});
});
