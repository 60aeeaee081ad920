import type { Schedule } from "@berth/contracts";
import { expect, test } from "vitest";
import { schedulesTable, scheduleText } from "./schedules.js";

const NOW = Date.parse("2026-11-26T10:00:00Z");
const BASE: Schedule = {
	name: "nightly",
	function: "report",
	alias: "live",
	cron: "30 2 * * *",
	timeZone: "Europe/Berlin",
	missed: "one",
	overlap: "queue",
	jitterMs: 300_000,
	enabled: true,
	state: "waiting",
	next: ["2026-11-27T01:30:00.000Z"],
	runs: [
		{
			dueAt: "2026-11-26T01:30:00.000Z",
			at: "2026-11-26T01:30:00.004Z",
			result: "fired",
			kind: "missed",
			invocation: "inv_1",
			state: "running",
		},
		{ dueAt: "2026-11-25T01:30:00.000Z", at: "2026-11-26T01:30:00.004Z", result: "missed", kind: "missed", count: 3 },
		{ dueAt: "2026-11-24T01:30:00.000Z", at: "2026-11-24T01:30:00.004Z", result: "failed", kind: "due", reason: "alias_not_found:\nno" },
	],
	queued: 2,
	createdAt: "2026-11-01T00:00:00.000Z",
	updatedAt: "2026-11-01T00:00:00.000Z",
};

test("a list says when each is due next, and how the last went", () => {
	const { cron: _, ...others } = BASE;
	const paused: Schedule = { ...others, name: "off", everyMs: 900_000, state: "paused", next: [], runs: [] };
	const lines = schedulesTable([BASE, paused], NOW).split("\n");
	expect(lines[1]).toMatch(/^nightly +30 2 \* \* \* Europe\/Berlin +in 15h 30m +fired \(missed\), running +inv_1$/);
	expect(lines[2]).toMatch(/^off +every 15m +paused +- +-$/);
});

test("one is shown with what it does when, and each firing has a line, whatever was said of it", () => {
	const text = scheduleText(BASE);
	for (const part of ["report@live", "up to 5m", "the last is made up for", "waits", "waiting, 2 wait for the one before"])
		expect(text).toContain(part);
	const runs = text.split("\n").slice(-3);
	expect(runs[1]).toMatch(/missed, 3 +-$/);
	expect(runs[2]).toMatch(/failed +alias_not_found: no$/);
});
