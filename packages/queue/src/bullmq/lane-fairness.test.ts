import { setTimeout as wait } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { GatewayQueue } from "../invocation-queue.js";
import { LANE } from "../keys.js";
import type { DeliveryHandler } from "../ports.js";
import { echo, enqueueAll, Lanes, NODE, requestOf } from "../testing/lanes.js";

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

/** Of these a quarter is the background's. */
const PLACES = 64;
/** Two of them are a turn. */
const RUN_MS = 30;
/**
 * What each has to the hundredth is simulated (fair-projects.test.ts). Here a machine that is busy brings the next job of one function late, and what that one
 * doesn't use meanwhile is the others': but by turns of functions alone one beside fifty would have a fiftieth.
 */
const HALF = [0.25, 0.75] as const;
const THIRD = [0.12, 0.6] as const;

async function fill(gateway: GatewayQueue, project: string, functions: number, each: number): Promise<void> {
	const requests = Array.from({ length: functions * each }, (_, at) => requestOf("", { project, function: `f${at % functions}` }));
	await enqueueAll(gateway, requests);
}

/** Runs of the same length, in the order in which they were begun; those of projects that are held until they are let go. */
function runs(...holds: string[]) {
	const begun: { project: string; name: string }[] = [];
	const release = Promise.withResolvers<void>();
	const of = (project: string) => begun.filter((one) => one.project === project);
	const handler: DeliveryHandler = async (delivery) => {
		const { project, function: name } = delivery.request;
		begun.push({ project, name });
		if (holds.includes(project)) await release.promise;
		else await wait(RUN_MS);
		return await echo(delivery);
	};
	return { begun, of, handler, release };
}

const allSettled = (gateway: GatewayQueue, settled: number) =>
	expect.poll(() => gateway.backgroundTotals(), { timeout: 20_000 }).toEqual({ accepted: settled, settled, dead: 0, inFlight: 0 });

test("a project with one function has half of all starts beside one of fifty, and a third when another comes; of the fifty none is left out", async () => {
	const gateway = await lanes.gateway();
	const { begun, of, handler } = runs();
	await fill(gateway, "many", 50, 10);
	await fill(gateway, "one", 1, 240);
	await lanes.worker(handler, PLACES);
	await expect.poll(() => of("one").length, { interval: 5, timeout: 20_000 }).toBeGreaterThanOrEqual(130);
	const known = begun.findIndex(({ project }) => project === "one");
	const first = begun.slice(known, known + 200);
	await fill(gateway, "late", 1, 80);
	await allSettled(gateway, 820);

	const share = first.filter(({ project }) => project === "one").length / first.length;
	expect(share).toBeGreaterThan(HALF[0]);
	expect(share).toBeLessThan(HALF[1]);
	const names = begun.slice(0, known + 200).filter(({ project }) => project === "many");
	expect(new Set(names.map(({ name }) => name)).size).toBe(50);

	const from = begun.findIndex(({ project }) => project === "late");
	const both = begun.slice(from, from + 150);
	for (const project of ["many", "one", "late"]) {
		const had = both.filter((one) => one.project === project).length / both.length;
		// Give or take what each had in its places when the third one came.
		expect(had, project).toBeGreaterThan(THIRD[0]);
		expect(had, project).toBeLessThan(THIRD[1]);
	}
});

test("projects that have in flight all that they may, by a function's bound or by their own, keep nobody from half of the starts each", async () => {
	const gateway = await lanes.gateway();
	const { begun, of, handler, release } = runs("bounded", "full");
	await fill(gateway, "bounded", 1, 5);
	await fill(gateway, "full", 5, 1);
	await fill(gateway, "many", 20, 10);
	await fill(gateway, "one", 1, 100);
	const limitsOf = async (project: string) => (project === "bounded" ? { concurrency: 1 } : {});
	const projectConcurrency = (project: string) => (project === "full" ? 1 : undefined);
	await lanes.worker(handler, PLACES, undefined, "1", limitsOf, { projectConcurrency });
	await expect.poll(() => of("one").length, { interval: 5, timeout: 20_000 }).toBe(100);
	expect([of("bounded").length, of("full").length]).toEqual([1, 1]);
	const others = begun.filter(({ project }) => project === "one" || project === "many").slice(0, 160);
	const share = others.filter(({ project }) => project === "one").length / others.length;
	expect(share).toBeGreaterThan(HALF[0]);
	expect(share).toBeLessThan(HALF[1]);
	release.resolve();
	await allSettled(gateway, 310);
	await lanes.server.client((redis) => expect.poll(() => redis.zcard(LANE.index), { timeout: 10_000 }).toBe(0));
});

test("who waits for one function isn't kept waiting by a project of sixty that floods, in the interactive lane as well", async () => {
	const gateway = await lanes.gateway();
	const { begun, of, handler } = runs();
	await lanes.worker(handler, PLACES);
	const ask = (project: string, name: string) => gateway.run(NODE, requestOf("", { project, function: name }));
	// They take all 48 places that are for those who wait, and some wait for them.
	const flood = Array.from({ length: 60 }, (_, at) => ask("many", `f${at}`));
	await expect.poll(() => begun.length, { interval: 1 }).toBeGreaterThanOrEqual(48);
	const own = Array.from({ length: 30 }, () => ask("one", "f"));
	await Promise.all([...flood, ...own]);
	expect([of("many").length, of("one").length]).toEqual([60, 30]);
	// By turns of functions alone it were one of thirteen.
	expect(begun.slice(0, 48 + 24).filter(({ project }) => project === "one").length).toBeGreaterThanOrEqual(12);
});
