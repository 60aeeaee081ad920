import { expect, test } from "vitest";
import { openRedis, SharedTime, SILENT, sharedNow, shareTime } from "./index.js";
import { RedisServer } from "./testing/index.js";

const HOUR_MS = 3_600_000;

test("it is the server's, and goes on with the monotonic clock", () => {
	let monotonicMs = 50;
	const time = new SharedTime(() => monotonicMs);
	time.shown(HOUR_MS);
	expect(time.now()).toBe(HOUR_MS);
	monotonicMs += 700;
	expect(time.now()).toBe(HOUR_MS + 700);
});

test("an answer that was long on its way doesn't set it back; it is never ahead of the server", () => {
	let monotonicMs = 0;
	const time = new SharedTime(() => monotonicMs);
	time.shown(HOUR_MS);
	monotonicMs = 9000;
	time.shown(HOUR_MS + 1000);
	expect(time.now()).toBe(HOUR_MS + 9000);
	// Not even after all that counted before was as old.
	monotonicMs = 30_000;
	time.shown(HOUR_MS + 1000);
	expect(time.now()).toBe(HOUR_MS + 30_000);
});

test("a server that is ahead of the one before is believed at once, one that is behind after twice ten seconds", () => {
	let monotonicMs = 0;
	const time = new SharedTime(() => monotonicMs);
	time.shown(HOUR_MS);
	time.shown(HOUR_MS + 500);
	expect(time.now()).toBe(HOUR_MS + 500);
	for (let at = 1; at <= 10; at++) {
		monotonicMs = at * 2000;
		time.shown(monotonicMs);
	}
	expect(time.now()).toBe(20_000);
});

test("a process that steps its own clock keeps the time of the server", async () => {
	await using server = await RedisServer.start();
	const [redis] = await openRedis([{ url: server.url, use: "command", name: "time", log: SILENT }]);
	const real = Date.now;
	const stop = await shareTime(redis, SILENT);
	try {
		for (const stepMs of [HOUR_MS, -HOUR_MS]) {
			Date.now = () => real() + stepMs;
			expect(Math.abs(sharedNow() - real())).toBeLessThan(HOUR_MS / 2);
		}
	} finally {
		Date.now = real;
		stop();
		await redis.quit();
	}
});
