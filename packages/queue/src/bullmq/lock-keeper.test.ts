import { SILENT } from "@berth/redis";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { KILL_MARGIN_MS, LOCK_MS, RENEW_MS } from "./leases.js";
import { LockKeeper } from "./lock-keeper.js";

beforeEach(() => {
	vi.useFakeTimers();
});
afterEach(() => {
	vi.useRealTimers();
});

test("a lock in hand is renewed for as long as it is held", async () => {
	const renewed: string[] = [];
	const keeper = new LockKeeper(async (jobs) => {
		renewed.push(...jobs);
		return [];
	}, SILENT);
	const lost = keeper.hold("job", "token", performance.now());
	await vi.advanceTimersByTimeAsync(3 * LOCK_MS);
	expect(renewed.length).toBeGreaterThanOrEqual(Math.floor((3 * LOCK_MS) / (RENEW_MS + 500)));
	expect(lost.aborted).toBe(false);
	keeper.release("token");
	expect(vi.getTimerCount()).toBe(0);
});

test("a lock that is refused aborts its job's signal", async () => {
	const keeper = new LockKeeper(async () => ["job"], SILENT);
	const lost = keeper.hold("job", "token", performance.now());
	await vi.advanceTimersByTimeAsync(RENEW_MS + 500);
	expect(lost.aborted).toBe(true);
});

test("a lock that can't be renewed is given up before it ends", async () => {
	const keeper = new LockKeeper(() => new Promise(() => undefined), SILENT);
	const lost = keeper.hold("job", "token", performance.now());
	await vi.advanceTimersByTimeAsync(LOCK_MS - KILL_MARGIN_MS);
	expect(lost.aborted).toBe(false);
	await vi.advanceTimersByTimeAsync(500);
	expect(lost.aborted).toBe(true);
});

test("the end of a lost attempt doesn't let go of the next attempt's lock", async () => {
	const renewed: string[] = [];
	const keeper = new LockKeeper(async (_, tokens) => {
		renewed.push(...tokens);
		return [];
	}, SILENT);
	keeper.hold("job", "first", performance.now());
	keeper.hold("job", "second", performance.now());
	keeper.release("first");
	await vi.advanceTimersByTimeAsync(LOCK_MS);
	expect(renewed).toContain("second");
	expect(renewed).not.toContain("first");
});
