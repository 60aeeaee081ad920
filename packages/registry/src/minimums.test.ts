import { HOUR_MS, MINUTE_MS } from "@berth/contracts";
import { expect, test } from "vitest";
import { readyAt } from "./minimums.js";

const at = (text: string) => Date.parse(text);
const WORK = { cron: "0 8 * * MON-FRI", timeZone: "Europe/Berlin", forMs: 10 * HOUR_MS, min: 4 };

test("a minimum without windows is the same at all times", () => {
	expect(readyAt({ min: 2 }, at("2026-11-26T12:00:00Z"))).toEqual({ sandboxes: 2, untilMs: Number.POSITIVE_INFINITY });
	expect(readyAt({}, 0)).toEqual({ sandboxes: 0, untilMs: Number.POSITIVE_INFINITY });
});

test("a window is open from its time on, where it counts, and for as long as it says", () => {
	const pool = { min: 1, windows: [WORK] };
	const opens = at("2026-11-26T07:00:00Z");
	expect(readyAt(pool, opens - 1)).toEqual({ sandboxes: 1, untilMs: opens });
	expect(readyAt(pool, opens)).toEqual({ sandboxes: 4, untilMs: opens + 10 * HOUR_MS });
	expect(readyAt(pool, opens + 10 * HOUR_MS - 1).sandboxes).toBe(4);
	// The day after is a Friday, and then comes Monday.
	expect(readyAt(pool, opens + 10 * HOUR_MS)).toEqual({ sandboxes: 1, untilMs: at("2026-11-27T07:00:00Z") });
	expect(readyAt(pool, at("2026-11-28T12:00:00Z"))).toEqual({ sandboxes: 1, untilMs: at("2026-11-30T07:00:00Z") });
});

test("a window goes by its zone's daylight saving", () => {
	expect(readyAt({ windows: [WORK] }, at("2026-07-01T06:30:00Z")).sandboxes).toBe(4);
	expect(readyAt({ windows: [WORK] }, at("2026-12-01T06:30:00Z")).sandboxes).toBe(0);
});

test("of windows that are open at the same time the largest counts, and what changes next ends it", () => {
	const noon = { cron: "0 12 * * *", forMs: 30 * MINUTE_MS, min: 9 };
	const pool = { windows: [WORK, noon] };
	expect(readyAt(pool, at("2026-11-26T11:00:00Z"))).toEqual({ sandboxes: 4, untilMs: at("2026-11-26T12:00:00Z") });
	expect(readyAt(pool, at("2026-11-26T12:10:00Z"))).toEqual({ sandboxes: 9, untilMs: at("2026-11-26T12:30:00Z") });
});

test("one that begins again before it is over stays open", () => {
	const pool = { windows: [{ cron: "* * * * *", forMs: 2 * MINUTE_MS, min: 1 }] };
	expect(readyAt(pool, at("2026-11-26T12:00:30Z"))).toEqual({ sandboxes: 1, untilMs: at("2026-11-26T12:01:00Z") });
});

test("a window that was never checked, and has no times, never opens", () => {
	const pool = { min: 1, windows: [{ cron: "0 0 31 2 *", forMs: HOUR_MS, min: 5 }] };
	expect(readyAt(pool, 0)).toEqual({ sandboxes: 1, untilMs: Number.POSITIVE_INFINITY });
});
