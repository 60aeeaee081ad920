import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { functionKeyOf } from "../keys.js";
import type { DeliveryHandler } from "../ports.js";
import { echo, FUNCTION_RECORDS, Lanes, requestOf, settlementOf } from "../testing/lanes.js";

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

const brief = { project: "default", function: "brief" };
const key = functionKeyOf(brief);

/** Whether the function is on record. */
const onRecord = (is: boolean) =>
	lanes.server.client<unknown>((redis) => (is ? redis.set(FUNCTION_RECORDS + key, "") : redis.del(FUNCTION_RECORDS + key)));

/** Keys with a function's name in them, and members of the lane's own sets; without what is history: that goes by its age. */
const left = () =>
	lanes.server.client(async (redis) => {
		const keys = (await redis.keys("*brief*")).filter((one) => !/^(berth:bg-(of|list):|records:)/.test(one));
		const sets = ["index", "marks", "known", "paused"];
		const members = await Promise.all(
			sets.map(async (set) => {
				const name = `berth:lane:${set}`;
				const found = set === "index" || set === "marks" ? await redis.zscore(name, key) : (await redis.sismember(name, key)) || null;
				return found === null ? [] : [name];
			}),
		);
		return [...keys, ...members.flat()];
	});

test("nothing is left of a deleted function that had run, failed, been limited, delayed and paused, and one of its name begins clean", async () => {
	const gateway = await lanes.gateway();
	await onRecord(true);
	const handler: DeliveryHandler = async (delivery) => {
		const { request, attempt } = delivery;
		if ("text" in request.body && request.body.text === "fails") return settlementOf("handler_error", attempt);
		return await echo(delivery);
	};
	const limits = { concurrency: 3, rate: { limit: 100, periodMs: 60_000 } };
	const worker = await lanes.worker(handler, 64, undefined, "1", async () => limits);
	for (const text of ["", "", "fails"]) await gateway.enqueue(requestOf(text, { ...brief, retry: { attempts: 2, backoffMs: 1 } }));
	await expect.poll(async () => (await gateway.backgroundTotals()).inFlight, { timeout: 10_000 }).toBe(0);
	await gateway.pause(brief);
	await gateway.enqueue(requestOf("waits", brief));
	await gateway.enqueue(requestOf("for later", { ...brief, runAtMs: Date.now() + 1000 }));

	await gateway.forget(brief);
	expect(await gateway.backlog(brief)).toMatchObject({ paused: true, waiting: 1, delayed: 1 });

	await onRecord(false);
	Object.assign(limits, { concurrency: undefined, rate: undefined });
	worker.changed(key);
	await gateway.forget(brief);
	expect(await gateway.backlog(brief)).toMatchObject({ paused: false });
	await expect.poll(async () => [await gateway.forgetDeleted(), await left()], { timeout: 15_000, interval: 200 }).toEqual([1, []]);
	expect(await gateway.backgroundTotals()).toEqual({ accepted: 5, settled: 4, dead: 1, inFlight: 0 });

	await onRecord(true);
	await gateway.enqueue(requestOf("anew", brief));
	await expect.poll(() => gateway.backgroundTotals()).toMatchObject({ accepted: 6, settled: 5, inFlight: 0 });
	expect(await gateway.paused("default")).toEqual(new Set());
});

test("what a gateway that died left of a deleted function goes by the upkeep, also a pause of one that was never invoked", async () => {
	const gateway = await lanes.gateway();
	await gateway.pause(brief);
	expect(await left()).not.toEqual([]);
	expect(await gateway.forgetDeleted()).toBe(1);
	expect(await left()).toEqual([]);
});

test("nothing is taken from a function that is on record, or from a deleted one whose last invocation may still be on its way", async () => {
	const gateway = await lanes.gateway();
	await onRecord(true);
	await gateway.pause(brief);
	await gateway.forget(brief);
	expect(await gateway.forgetDeleted()).toBe(0);
	expect(await gateway.paused("default")).toEqual(new Set(["brief"]));

	await onRecord(false);
	// As a gateway's `enqueue` begins, before the job is there.
	await lanes.server.client((redis) => redis.zadd("berth:lane:marks", Date.now(), key));
	expect(await gateway.forgetDeleted()).toBe(0);
	expect(await left()).toContain("berth:lane:known");
});
