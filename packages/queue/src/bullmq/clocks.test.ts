import { sharedNow } from "@berth/redis";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { echo, Lanes, NODE, requestOf } from "../testing/lanes.js";

const HOUR_MS = 3_600_000;
const LATER_MS = 400;

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(async () => {
	vi.restoreAllMocks();
	await lanes.clear();
});
afterAll(() => lanes.stop());

/** Steps the clock of this process, in which gateway and worker are; the server's shows what it did. */
function stepClock(byMs: number): void {
	const real = Date.now.bind(Date);
	vi.spyOn(Date, "now").mockImplementation(() => real() + byMs);
}

describe.each([
	["an hour ahead", HOUR_MS],
	["an hour behind", -HOUR_MS],
])("with a clock that is %s", (_, byMs) => {
	test("what is for later begins at its time: not before, and not an hour after", async () => {
		const gateway = await lanes.gateway();
		const began = new Map<string, number>();
		await lanes.worker(async (delivery) => {
			const { body } = delivery.request;
			began.set("text" in body ? body.text : "", sharedNow());
			return await echo(delivery);
		});
		stepClock(byMs);
		const acceptedAtMs = sharedNow();
		const runAtMs = acceptedAtMs + LATER_MS;
		await gateway.enqueue(requestOf("later", { acceptedAtMs, runAtMs }));
		await gateway.enqueue(requestOf("now", { acceptedAtMs }));
		await expect.poll(() => [...began.keys()].toSorted()).toEqual(["later", "now"]);
		expect(began.get("later")).toBeGreaterThanOrEqual(runAtMs);
	});

	test("what somebody waits for isn't too late, and what is too old isn't run", async () => {
		const gateway = await lanes.gateway();
		const ran: unknown[] = [];
		await lanes.worker(async (delivery) => {
			ran.push("text" in delivery.request.body && delivery.request.body.text);
			return await echo(delivery);
		});
		stepClock(byMs);
		const acceptedAtMs = sharedNow();
		const waited = await gateway.run(NODE, requestOf("waited", { acceptedAtMs, expiresAtMs: acceptedAtMs + 5000 }));
		expect(waited.attempt.outcome).toBe("succeeded");
		const old = requestOf("old", { acceptedAtMs: acceptedAtMs - 2000, retry: { maxAgeMs: 1000 } });
		await gateway.enqueue(old);
		await expect.poll(async () => (await gateway.record(old.id))?.last?.code).toBe("expired_in_queue");
		expect(ran).toEqual(["waited"]);
	});
});
