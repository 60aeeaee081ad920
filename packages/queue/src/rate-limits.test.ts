import { openRedis, type Redis, SILENT } from "@berth/redis";
import { RedisServer } from "@berth/redis/testing";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Rate, RateLimits } from "./rate-limits.js";

let server: RedisServer;
let redis: Redis;
let nowMs = 0;
const clock = () => nowMs;
beforeAll(async () => {
	server = await RedisServer.start();
	[redis] = await openRedis([{ url: server.url, use: "command", name: "test" }]);
});
beforeEach(async () => {
	nowMs = 1_000_000;
	await redis.flushall();
});
afterAll(async () => {
	redis.disconnect();
	await server[Symbol.asyncDispose]();
});

const gateway = (gatewayId: string) => new RateLimits({ redis, gatewayId, log: SILENT, clock });
const RATE: Rate = { perSecond: 10, burst: 20 };

/** How many of so many in a row are allowed. */
async function allowedOf(limits: RateLimits, tries: number, rate = RATE, project = "shop"): Promise<number> {
	let allowed = 0;
	for (let n = 0; n < tries; n++) if ((await limits.take(project, rate)).allowed) allowed++;
	return allowed;
}

test("a burst, then as many as the rate has, and who is refused is told when to come again", async () => {
	const limits = gateway("one");
	expect(await allowedOf(limits, 50)).toBe(20);
	expect(await limits.take("shop", RATE)).toEqual({ allowed: false, remaining: 0, retryAfterMs: 100 });
	nowMs += 100;
	expect(await allowedOf(limits, 3)).toBe(1);
	nowMs += 1000;
	expect(await allowedOf(limits, 50)).toBe(10);
	expect(await allowedOf(limits, 50, RATE, "another")).toBe(20);
});

test("several gateways have one burst together, and what one has ahead and doesn't use it gives back", async () => {
	const [one, two] = [gateway("one"), gateway("two")];
	expect((await one.take("shop", RATE)).allowed).toBe(true);
	expect(await allowedOf(two, 50)).toBeLessThanOrEqual(19);
	nowMs += 1000;
	await one.sweep();
	nowMs += 2000;
	expect(await allowedOf(two, 50)).toBe(20);
});

test("what one has ahead isn't filled up for the others meanwhile", async () => {
	const rate = { perSecond: 10, burst: 80 };
	const [one, two] = [gateway("one"), gateway("two")];
	await one.take("shop", rate);
	nowMs += 3000;
	expect((await allowedOf(two, 100, rate)) + (await allowedOf(one, 100, rate))).toBe(79);
});

test("what a gateway that died was lent is nobody's for 5 s, and anybody's after that", async () => {
	const rate = { perSecond: 1, burst: 80 };
	const [one, two] = [gateway("one"), gateway("two")];
	await one.take("shop", rate);
	expect(await allowedOf(two, 100, rate)).toBe(70);
	nowMs += 4500;
	expect(await allowedOf(two, 100, rate)).toBe(4);
	nowMs += 100_000;
	expect(await allowedOf(two, 100, rate)).toBe(80);
});

test("most requests ask nobody", async () => {
	const limits = gateway("one");
	const rate = { perSecond: 1000, burst: 1000 };
	await limits.take("shop", rate);
	const verdicts = Array.from({ length: 100 }, () => limits.take("shop", rate));
	expect(verdicts.every((verdict) => !(verdict instanceof Promise))).toBe(true);
});

test("while Redis is away nothing is let through but what was lent before", async () => {
	const limits = gateway("one");
	const rate = { perSecond: 1, burst: 16 };
	await limits.take("shop", rate);
	server.freeze();
	try {
		expect((await limits.take("shop", rate)).allowed).toBe(true);
		await expect(Promise.resolve(limits.take("shop", rate))).rejects.toMatchObject({ code: "unavailable" });
	} finally {
		server.resume();
	}
});

const step = fc.oneof(
	{ weight: 6, arbitrary: fc.record({ kind: fc.constant("take" as const), who: fc.nat(1), tries: fc.integer({ min: 1, max: 30 }) }) },
	{ weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 6000 }) }) },
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant("sweep" as const), who: fc.nat(1) }) },
);

test("whatever two gateways do, in no time T more than burst + rate × T get through, of both together", async () => {
	await fc.assert(
		fc.asyncProperty(
			fc.record({ perSecond: fc.integer({ min: 1, max: 50 }), burst: fc.integer({ min: 1, max: 100 }) }),
			fc.array(step, { minLength: 5, maxLength: 40 }),
			async (rate, steps) => {
				await redis.flushall();
				const gateways = [gateway("one"), gateway("two")] as const;
				const at: number[] = [];
				for (const one of steps) {
					if (one.kind === "wait") nowMs += one.ms;
					else if (one.kind === "sweep") await gateways[one.who as 0 | 1].sweep();
					else {
						const verdicts = await Promise.all(Array.from({ length: one.tries }, () => gateways[one.who as 0 | 1].take("shop", rate)));
						for (const { allowed } of verdicts) if (allowed) at.push(nowMs);
					}
				}
				for (const [from, begin] of at.entries())
					for (let to = from; to < at.length; to++) {
						const most = rate.burst + (rate.perSecond * ((at[to] as number) - begin)) / 1000;
						expect(to - from + 1).toBeLessThanOrEqual(most + 0.001);
					}
			},
		),
		{ numRuns: 30, seed: 20_261_126 },
	);
});

test("what two bounds allow is what the narrower one does, and what one refuses isn't spent of the other", async () => {
	const limits = gateway("one");
	const buckets = [
		{ name: "shop/key", rate: { perSecond: 2, burst: 2 } },
		{ name: "shop", rate: RATE },
	];
	let allowed = 0;
	for (let n = 0; n < 50; n++) if ((await limits.takeAll(buckets)).every((verdict) => verdict.allowed)) allowed++;
	expect(allowed).toBe(2);
	// All that is left of the project's is there for others.
	expect(await allowedOf(limits, 50)).toBe(18);
	nowMs += 1000;
	expect(await allowedOf(limits, 50)).toBe(10);
	expect((await limits.takeAll(buckets)).map((verdict) => verdict.allowed)).toEqual([true, false]);
	nowMs += 100;
	expect((await limits.takeAll(buckets)).map((verdict) => verdict.allowed)).toEqual([true, true]);
});
