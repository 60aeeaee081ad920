import { BerthError, type ScheduleConfig } from "@berth/contracts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jitterOf, nextTimes, planOf, timesOf } from "./times.js";

const AT = "2026-01-01T00:00:00.000Z";
const ms = (text: string) => Date.parse(text);
const MINUTE = 60_000;

function config(more: Partial<ScheduleConfig>): ScheduleConfig {
	const fixed = { name: "s", function: "f", alias: "live", missed: "one", overlap: "skip", jitterMs: 0, enabled: true } as const;
	return { ...fixed, timeZone: "UTC", createdAt: AT, updatedAt: AT, ...more };
}

const next = (more: Partial<ScheduleConfig>, after: string, most = 3) =>
	nextTimes(timesOf(config(more)), ms(after), most).map((at) => new Date(at).toISOString().replace(".000Z", "Z"));

function issueOf(more: Partial<ScheduleConfig>): string {
	try {
		timesOf(config(more));
	} catch (error) {
		if (error instanceof BerthError) return `${error.code} ${error.issues[0]?.field}: ${error.issues[0]?.message}`;
	}
	return "no error";
}

describe("a cron expression", () => {
	test.each([
		["0 9 * * MON-FRI", "2026-11-27T09:00:00Z", ["2026-11-30T09:00:00Z", "2026-12-01T09:00:00Z", "2026-12-02T09:00:00Z"]],
		["*/20 * * * * *", "2026-11-27T09:00:01Z", ["2026-11-27T09:00:20Z", "2026-11-27T09:00:40Z", "2026-11-27T09:01:00Z"]],
		["0 0 29 FEB *", "2026-11-27T09:00:01Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z", "2036-02-29T00:00:00Z"]],
		["0 0 L * *", "2026-01-30T00:00:00Z", ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"]],
		["@weekly", "2026-11-27T09:00:01Z", ["2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z", "2026-12-13T00:00:00Z"]],
		["  5,10-12/2   3 1 1 *  ", "2026-01-01T03:10:00Z", ["2026-01-01T03:12:00Z", "2027-01-01T03:05:00Z", "2027-01-01T03:10:00Z"]],
	])("%s is due when it says", (cron, after, wanted) => {
		expect(next({ cron }, after)).toEqual(wanted);
	});

	// Transitions as in the IANA's tz database (europe, northamerica, australasia): Berlin 2026-03-29 and 2026-10-25 at 01:00 UTC,
	// New York 2026-03-08 at 07:00 UTC, Lord Howe by half an hour on 2026-10-03 at 15:30 UTC.
	test.each([
		[
			"left out in spring: at the first moment after",
			"30 2 * * *",
			"Europe/Berlin",
			"2026-03-28T12:00:00Z",
			"2026-03-29T01:00:00Z",
			"2026-03-30T00:30:00Z",
		],
		[
			"twice in autumn: the first time only",
			"30 2 * * *",
			"Europe/Berlin",
			"2026-10-24T12:00:00Z",
			"2026-10-25T00:30:00Z",
			"2026-10-26T01:30:00Z",
		],
		[
			"a list that has a time left out",
			"30 2,14 * * *",
			"Europe/Berlin",
			"2026-03-28T14:00:00Z",
			"2026-03-29T01:00:00Z",
			"2026-03-29T12:30:00Z",
		],
		[
			"another hemisphere's half an hour",
			"15 2 * * *",
			"Australia/Lord_Howe",
			"2026-10-03T00:00:00Z",
			"2026-10-03T15:30:00Z",
			"2026-10-04T15:15:00Z",
		],
		["New York", "15 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"],
	])("of a time of day that is %s", (_, cron, timeZone, after, first, second) => {
		expect(next({ cron, timeZone }, after, 2)).toEqual([first, second]);
	});

	test("with a step counts real time when clocks change: neither a gap nor a double", () => {
		const cron = { cron: "*/30 * * * *", timeZone: "Europe/Berlin" };
		for (const day of ["2026-03-29", "2026-10-25"]) {
			const found = nextTimes(timesOf(config(cron)), ms(`${day}T00:00:00Z`), 8);
			expect(found).toEqual(found.map((_, at) => ms(`${day}T00:30:00Z`) + at * 30 * MINUTE));
		}
	});

	test("looks back as it looks forward, whatever the clocks do between", () => {
		const crons = ["30 2 * * *", "*/30 * * * *", "0 1-4 * * *", "15 2,3 * * SUN", "0 */6 * * *", "@hourly"];
		const zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"];
		const starts = ["2026-03-07", "2026-03-28", "2026-10-03", "2026-10-24", "2026-10-31", "2026-07-01"];
		const property = fc.property(
			fc.constantFrom(...crons),
			fc.constantFrom(...zones),
			fc.constantFrom(...starts),
			fc.integer({ min: 0, max: 36 * 60 }),
			fc.integer({ min: 0, max: 48 * 60 }),
			(cron, timeZone, day, from, length) => {
				const times = timesOf(config({ cron, timeZone }));
				const [first, last] = [ms(`${day}T00:00:00Z`) + from * MINUTE, ms(`${day}T00:00:00Z`) + (from + length) * MINUTE];
				const forward = nextTimes(times, first - 1, 200).filter((at) => at <= last);
				expect(times.between(first, last, 200)).toEqual(forward);
				expect(times.between(first, last, 2)).toEqual(forward.slice(-2));
			},
		);
		fc.assert(property, { numRuns: 60 });
	});

	test.each([
		[{}, "cron: a schedule has exactly one of cron, everyMs and at, and none of them is there"],
		[{ cron: "@daily", everyMs: 1000 }, "everyMs: a schedule has exactly one of cron, everyMs and at, and cron and everyMs are there"],
		[{ cron: "61 * * * *" }, "cron: Invalid value for minute: 61"],
		[{ cron: "* * *" }, "cron: five fields are wanted"],
		[{ cron: "0 0 0 * * * 2027" }, "here are 7"],
		[{ cron: "2026-12-01T00:00:00" }, "cron: five fields are wanted"],
		[{ cron: "@reboot" }, "cron: @reboot isn't one of @yearly"],
		[{ cron: "? * * * *" }, "cron: ? has no meaning"],
		[{ cron: "x * * * *" }, "illegal characters"],
		[{ cron: "0 0 30 2 *" }, "cron: there is no such day"],
	])("%j is refused, and says what is wrong", (more, wanted) => {
		expect(issueOf(more)).toContain("invalid_request ");
		expect(issueOf(more)).toContain(wanted);
		if ("cron" in more && !("everyMs" in more)) expect(issueOf(more)).toContain('"30 2 * * *" is every night at 02:30');
	});
});

describe("every so often", () => {
	test("counts from the making, or from its start, which is one of them", () => {
		expect(next({ everyMs: 15 * MINUTE }, "2026-01-01T00:00:00Z", 2)).toEqual(["2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"]);
		const bounds = { startAt: "2026-02-01T00:07:00Z", endAt: "2026-02-01T00:37:00Z" };
		expect(next({ everyMs: 15 * MINUTE, ...bounds }, "2026-01-01T00:00:00Z", 9)).toEqual([
			"2026-02-01T00:07:00Z",
			"2026-02-01T00:22:00Z",
			"2026-02-01T00:37:00Z",
		]);
	});

	test("looks back as it looks forward", () => {
		const property = fc.property(
			fc.integer({ min: 1000, max: 10_000 }),
			fc.integer({ min: -20_000, max: 60_000 }),
			fc.integer({ min: 0, max: 60_000 }),
			fc.integer({ min: 1, max: 70 }),
			(everyMs, from, length, most) => {
				const times = timesOf(config({ everyMs }));
				const [first, last] = [ms(AT) + from, ms(AT) + from + length];
				const forward = nextTimes(times, first - 1, 200).filter((at) => at <= last);
				expect(times.between(first, last, most)).toEqual(forward.slice(-most));
			},
		);
		fc.assert(property, { numRuns: 300 });
	});
});

describe("what has come due", () => {
	const minutely = config({ everyMs: MINUTE });
	const due = ms("2026-01-01T00:01:00Z");

	test("is fired, and the next is the one after", () => {
		expect(planOf(minutely, due, due + 3)).toEqual({ fire: [{ dueMs: due, kind: "due" }], missed: undefined, nextMs: due + MINUTE });
	});

	test("but wasn't looked at is missed: nothing is done, or the last is made up for, or all are", () => {
		const now = due + 9.5 * MINUTE;
		const hourly = { ...minutely, everyMs: 3 * MINUTE };
		const from = ms("2026-01-01T00:03:00Z");
		const [last, nextMs] = [from + 6 * MINUTE, from + 9 * MINUTE];
		const missed = (count: number, lastMs: number) => ({ count, lastMs });
		expect(planOf({ ...hourly, missed: "skip" }, from, now)).toEqual({ fire: [], missed: missed(3, last), nextMs });
		expect(planOf(hourly, from, now)).toEqual({ fire: [{ dueMs: last, kind: "missed" }], missed: missed(2, last - 3 * MINUTE), nextMs });
		const { fire } = planOf({ ...hourly, missed: "all" }, from, now);
		expect(fire.map(({ dueMs, kind }) => [(dueMs - from) / MINUTE, kind])).toEqual([
			[0, "missed"],
			[3, "missed"],
			[6, "missed"],
		]);
	});

	test("is fired also by skip when it is hardly late; what came before it isn't", () => {
		const plan = planOf({ ...minutely, missed: "skip" }, due, due + 2 * MINUTE + 5000);
		expect(plan).toEqual({
			fire: [{ dueMs: due + 2 * MINUTE, kind: "due" }],
			missed: { count: 2, lastMs: due + MINUTE },
			nextMs: due + 3 * MINUTE,
		});
	});

	test.each(["skip", "one", "all"] as const)("is fired by %s also when several are less than a minute late: each, in order", (missed) => {
		const secondly = config({ everyMs: 1000, missed, overlap: "queue" });
		expect(planOf(secondly, due, due + 3200)).toEqual({
			fire: [0, 1, 2, 3].map((at) => ({ dueMs: due + at * 1000, kind: "due" })),
			missed: undefined,
			nextMs: due + 4000,
		});
		const { fire } = planOf(secondly, due, due + 62_500);
		expect(fire.filter(({ kind }) => kind === "due")[0]).toEqual({ dueMs: due + 3000, kind: "due" });
		expect(fire.at(-1)).toEqual({ dueMs: due + 62_000, kind: "due" });
		expect(fire).toHaveLength(missed === "all" ? 63 : 60);
	});

	test("for years is made up for by a hundred, and costs no more than that", () => {
		const secondly = config({ cron: "* * * * * *", missed: "all", overlap: "queue" });
		const plan = planOf(secondly, due, due + 3 * 365 * 24 * 60 * MINUTE);
		expect([plan.fire.length, plan.missed]).toEqual([100, undefined]);
		expect(plan.fire.at(-1)).toEqual({ dueMs: due + 3 * 365 * 24 * 60 * MINUTE, kind: "due" });
		expect(planOf({ ...secondly, missed: "one" }, due, due + 3 * 365 * 24 * 60 * MINUTE).missed?.count).toBe(100);
	});

	test("is due also when the clock went back behind it", () => {
		expect(planOf(minutely, due, due - 500)).toEqual({ fire: [{ dueMs: due, kind: "due" }], missed: undefined, nextMs: due + MINUTE });
	});

	test("is never overtaken by the next one, however large its jitter is: each fires once", () => {
		const jittered = config({ everyMs: MINUTE, jitterMs: 10 * MINUTE });
		const fired: number[] = [];
		let next = due;
		while (fired.length < 500) {
			const plan = planOf(jittered, next, next + jitterOf(jittered, next));
			expect(plan.missed).toBeUndefined();
			fired.push(...plan.fire.map(({ dueMs }) => dueMs));
			next = plan.nextMs as number;
		}
		expect(fired).toEqual(fired.map((_, at) => due + at * MINUTE));
	});

	test("has its jitter: the same for whoever looks, within its bounds, and not always the same", () => {
		const jittered = config({ everyMs: MINUTE, jitterMs: 30_000 });
		const found = Array.from({ length: 200 }, (_, at) => jitterOf(jittered, due + at * MINUTE));
		expect(found).toEqual(Array.from({ length: 200 }, (_, at) => jitterOf({ ...jittered }, due + at * MINUTE)));
		expect([Math.min(...found) >= 0, Math.max(...found) <= 30_000, new Set(found).size > 150]).toEqual([true, true, true]);
		const early = planOf(jittered, due, due + jitterOf(jittered, due));
		expect(early.fire).toEqual([{ dueMs: due, kind: "due" }]);
	});

	test("once is due once", () => {
		const once = config({ at: "2026-01-01T00:01:00Z" });
		expect(planOf(once, due, due)).toEqual({ fire: [{ dueMs: due, kind: "due" }], missed: undefined, nextMs: undefined });
	});
});
