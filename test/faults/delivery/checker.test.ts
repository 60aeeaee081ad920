import { expect, test } from "vitest";
import { violationsIn } from "./checker.js";
import { askedBy } from "./firings.js";
import type { Asked, History, Recorded, ScheduledRun, Witnessed } from "./history.js";

const QUIET = { accepted: 2, settled: 1, dead: 1, inFlight: 0 };
const began = (token: string, attempt = 1, atMs = 1000): Witnessed => ({ what: "began", token, id: `inv_${token}`, attempt, atMs });
const ended = (token: string, attempt = 1, atMs = 1001): Witnessed => ({ what: "ended", token, id: `inv_${token}`, attempt, atMs });
const resultOf = (token: string, attempt = 1) => ({ token, attempt });
const settled = (token: string, more: Partial<Recorded> = {}): Recorded => ({
	id: `inv_${token}`,
	state: "settled",
	outcome: "succeeded",
	attempt: 1,
	result: resultOf(token, more.attempt ?? 1),
	...more,
});

const BACK: Asked = { token: "b", lane: "background", deed: "succeed", told: { kind: "accepted", id: "inv_b" } };
const RETRIED: Asked = { token: "r", lane: "background", deed: "fail-once", told: { kind: "accepted", id: "inv_r" } };
const WAITED: Asked = {
	token: "w",
	lane: "interactive",
	deed: "sleep",
	told: { kind: "answered", id: "inv_w", outcome: "succeeded", result: resultOf("w") },
};
const REFUSED: Asked = { token: "x", lane: "interactive", deed: "succeed", told: { kind: "refused", code: "unavailable" } };

/** One in which all is well. */
const WELL: History = {
	asked: [BACK, RETRIED, WAITED, REFUSED],
	records: [settled("b"), settled("r", { attempt: 2 }), settled("w", { result: undefined })],
	witnessed: [began("b"), began("r"), ended("b"), began("w"), began("r", 2), ended("w"), ended("r", 2)],
	totals: { interactive: QUIET, background: QUIET },
	killed: false,
};
const changed = (change: Partial<History>) => violationsIn({ ...WELL, ...change });
const asking = (asked: Asked, more: Partial<Asked>) => WELL.asked.map((each) => (each === asked ? { ...each, ...more } : each));

test("nothing is found where all is well", () => {
	expect(violationsIn(WELL)).toEqual([]);
});

test("a loss is found: no record, one that never settles, one that succeeded and never ran", () => {
	expect(changed({ records: WELL.records.slice(1) })).toEqual([expect.stringMatching(/inv_b: accepted, and there is no record/)]);
	const waiting = WELL.records.map((record) => (record.id === "inv_b" ? { id: record.id, state: "queued" } : record));
	expect(changed({ records: waiting })).toEqual([expect.stringMatching(/inv_b: accepted, and never settled: it is queued/)]);
	const unseen = WELL.witnessed.filter(({ token }) => token !== "b");
	expect(changed({ witnessed: unseen })).toEqual([expect.stringMatching(/inv_b: it succeeded in attempt 1, which never ended/)]);
});

test("a duplicate is found: of an attempt, and of what somebody waited for", () => {
	const twice = [...WELL.witnessed, began("b"), ended("b")];
	expect(changed({ witnessed: twice })).toEqual([expect.stringMatching(/inv_b: attempt 1 began after attempt 1/)]);
	const again = [...WELL.witnessed, began("w", 2), ended("w", 2)];
	expect(changed({ witnessed: again, killed: true })).toEqual([expect.stringMatching(/inv_w: it began 2 times, and somebody waited/)]);
	const unheard = asking(WAITED, { told: { kind: "nothing" } });
	expect(changed({ asked: unheard, witnessed: again, killed: true })).toHaveLength(1);
});

test("reordering is found: an attempt that goes on beside the next, a number that goes back, one that is left out", () => {
	const beside = [...WELL.witnessed, ended("r", 1)];
	expect(changed({ witnessed: beside })).toEqual([expect.stringMatching(/inv_r: attempt 1 went on beside attempt 2/)]);
	const back = [began("r", 2), ended("r", 2), began("r", 1), ...WELL.witnessed.filter(({ token }) => token !== "r")];
	expect(changed({ witnessed: back, killed: true })).toEqual([expect.stringMatching(/inv_r: attempt 1 began after attempt 2/)]);
	const gap = WELL.witnessed.filter(({ token, attempt }) => token !== "r" || attempt !== 1);
	expect(changed({ witnessed: gap })).toEqual([expect.stringMatching(/inv_r: attempt 2 followed attempt 0, and nothing was killed/)]);
	expect(changed({ witnessed: gap, killed: true })).toEqual([]);
});

test("a settlement by a stale attempt is found", () => {
	const records = WELL.records.map((record) => (record.id === "inv_r" ? settled("r", { attempt: 1 }) : record));
	expect(changed({ records })).toEqual([
		expect.stringMatching(/inv_r: it succeeded in attempt 1, which never ended/),
		expect.stringMatching(/inv_r: settled by attempt 1, and attempt 2 began/),
	]);
});

test("what was refused and runs all the same is found, and so is what nobody asked for", () => {
	expect(changed({ witnessed: [...WELL.witnessed, began("x")] })).toEqual([expect.stringMatching(/refused as unavailable, and ran/)]);
	expect(changed({ witnessed: [...WELL.witnessed, began("?")] })).toEqual(["? ran as inv_?, and nobody asked for that"]);
	const other = { ...began("b"), id: "inv_other" };
	expect(changed({ witnessed: [...WELL.witnessed, other] })).toEqual(["b ran as inv_other, and nobody asked for that"]);
});

test("another's answer is found, and a record that says something else than the answer did", () => {
	const told = { kind: "answered", id: "inv_w", outcome: "succeeded", result: resultOf("b") } as const;
	expect(changed({ asked: asking(WAITED, { told }) })).toEqual([expect.stringMatching(/inv_w: its result is .*"b"/)]);
	const records = WELL.records.map((record) => (record.id === "inv_w" ? { ...record, outcome: "timed_out" } : record));
	expect(changed({ records })).toEqual([expect.stringMatching(/answered as succeeded, and its record says timed_out/)]);
});

test("what begins after it was cancelled is found; a cancelled one that never ran is well", () => {
	const asked = asking(BACK, { cancelledAtMs: 2000 });
	const records = WELL.records.map((record) =>
		record.id === "inv_b" ? settled("b", { outcome: "cancelled", code: "cancelled" }) : record,
	);
	expect(changed({ asked, records, witnessed: WELL.witnessed.filter(({ token }) => token !== "b") })).toEqual([]);
	const late = [...WELL.witnessed.filter(({ token }) => token !== "b"), began("b", 1, 2001)];
	expect(changed({ asked, records, witnessed: late })).toEqual([expect.stringMatching(/attempt 1 began after it was cancelled/)]);
});

test("what is settled and changes afterwards is found, and so is one that two gateways tell differently", () => {
	const late = settled("b", { attempt: 2 });
	expect(changed({ records: [...WELL.records, settled("b")] })).toEqual([]);
	expect(changed({ records: [{ id: "inv_b", state: "running" }, ...WELL.records] })).toEqual([]);
	const replaced = changed({ records: [settled("b"), ...WELL.records.slice(1), late] });
	expect(replaced).toContainEqual(expect.stringMatching(/inv_b: once it was settled it was read as .*"attempt":1.* and as .*"attempt":2/));
	expect(changed({ records: [...WELL.records, { id: "inv_b", state: "queued" }] })).toContainEqual(
		expect.stringMatching(/once it was settled/),
	);
});

test("what begins before its time is found", () => {
	expect(changed({ asked: asking(BACK, { notBeforeMs: 1000 }) })).toEqual([]);
	expect(changed({ asked: asking(BACK, { notBeforeMs: 1007 }) })).toEqual([expect.stringMatching(/attempt 1 began 7 ms before its time/)]);
});

test("where nobody could end an attempt of the background it may go on beside the next; what somebody waits for may not begin twice even so", () => {
	const beside = [...WELL.witnessed, ended("r", 1)];
	expect(changed({ witnessed: beside, unattended: true })).toEqual([]);
	const again = [...WELL.witnessed, began("w", 2), ended("w", 2)];
	expect(changed({ witnessed: again, killed: true, unattended: true })).toEqual([expect.stringMatching(/inv_w: it began 2 times/)]);
	const stale = WELL.records.map((record) => (record.id === "inv_r" ? settled("r", { attempt: 1 }) : record));
	expect(changed({ records: stale, witnessed: beside, unattended: true })).toEqual([
		expect.stringMatching(/inv_r: settled by attempt 1, and attempt 2 began/),
	]);
});

test("a replay is one of its own: it has to settle, and to have run", () => {
	const replayed: Asked = { ...BACK, told: { kind: "accepted", id: "inv_replay" } };
	const asked = [...WELL.asked, replayed];
	expect(changed({ asked })).toEqual([expect.stringMatching(/inv_replay: accepted, and there is no record/)]);
	const records = [...WELL.records, { ...settled("b"), id: "inv_replay" }];
	expect(changed({ asked, records })).toEqual([expect.stringMatching(/inv_replay: it succeeded in attempt 1, which never ended/)]);
	const witnessed = [...WELL.witnessed, { ...began("b"), id: "inv_replay" }, { ...ended("b"), id: "inv_replay" }];
	expect(changed({ asked, records, witnessed })).toEqual([]);
});

test("what doesn't add up is found", () => {
	expect(changed({ totals: { ...WELL.totals, background: { ...QUIET, settled: 0 } } })).toEqual([
		"background: 2 accepted, and 0 settled, 1 dead, 0 in flight",
	]);
	expect(changed({ totals: { ...WELL.totals, interactive: { accepted: 2, settled: 1, dead: 0, inFlight: 1 } } })).toEqual([
		"interactive: 1 are in flight for ever",
	]);
});

const LOST: Asked = {
	...WAITED,
	told: { kind: "answered", id: "inv_w", outcome: "platform_error", code: "worker_lost" },
	waited: { at: "gateway-0", fromMs: 100_000, untilMs: 110_000 },
};
const lostAt = (machine: string | undefined, done: History["done"]) =>
	changed({
		asked: WELL.asked.map((each) => (each === WAITED ? LOST : each)),
		records: WELL.records.filter(({ id }) => id !== "inv_w"),
		witnessed: WELL.witnessed
			.filter(({ token, what }) => token !== "w" || (what === "began" && machine !== undefined))
			.map((one) => (machine === undefined ? one : { ...one, machine })),
		...(done === undefined ? {} : { done }),
	});

test("what is lost though nothing was done to where it was is found", () => {
	const during = { fromMs: 105_000, untilMs: 106_000 };
	expect(lostAt("worker-1", undefined)).toEqual([]);
	for (const to of ["worker-1", "gateway-0", "fast"]) expect(lostAt("worker-1", [{ to, ...during }])).toEqual([]);
	for (const to of ["worker-0", "gateway-1", "durable"])
		expect(lostAt("worker-1", [{ to, ...during }])).toEqual([
			expect.stringMatching(/inv_w: it was lost at worker-1, and nothing was done to that/),
		]);
	// It may have been in the hands of any that has a worker.
	expect(lostAt(undefined, [{ to: "worker-0", ...during }])).toEqual([]);
	expect(lostAt(undefined, [{ to: "gateway-1", ...during }])).toHaveLength(1);
	// What was over for a lease and more before it was asked for, and what was done when its client knew.
	expect(lostAt("worker-1", [{ to: "worker-1", fromMs: 80_000, untilMs: 85_001 }])).toEqual([]);
	expect(lostAt("worker-1", [{ to: "worker-1", fromMs: 80_000, untilMs: 84_000 }])).toHaveLength(1);
	expect(lostAt("worker-1", [{ to: "worker-1", fromMs: 110_001, untilMs: 120_000 }])).toHaveLength(1);
});

test("what is given up as lost in the background though nothing was done to any worker or Redis is found", () => {
	const waited = { at: "gateway-0", fromMs: 100_000, untilMs: 100_010 };
	const records = WELL.records.map((record) =>
		record.id === "inv_b" ? settled("b", { outcome: "platform_error", code: "worker_lost", result: undefined }) : record,
	);
	const given = (to: string) => changed({ asked: asking(BACK, { waited }), records, done: [{ to, fromMs: 120_000, untilMs: 121_000 }] });
	expect(given("durable")).toEqual([]);
	expect(given("worker-2")).toEqual([]);
	expect(given("gateway-0")).toEqual([expect.stringMatching(/inv_b: it was given up as lost/)]);
});

const TIMES = [0, 3, 6, 9].map((second) => new Date(second * 1000).toISOString());
const [FIRST, SECOND, THIRD, FOURTH] = TIMES as [string, string, string, string];
const fired = (dueAt: string): ScheduledRun => ({ dueAt, result: "fired", invocation: `inv_${dueAt}` });
const firing = (runs: readonly ScheduledRun[], firesAll: boolean, more: Partial<History> = {}) => {
	const schedule = { name: "s", dueAt: TIMES, firesAll, runs };
	const asked = askedBy(schedule);
	const ran = asked.flatMap(({ token, told }) => {
		const of = { token, id: "id" in told ? told.id : "", attempt: 1, atMs: 20_000 };
		return [
			{ ...of, what: "began" as const },
			{ ...of, what: "ended" as const },
		];
	});
	const ended = asked.map(({ token, told }) => ({ ...settled(token), id: "id" in told ? told.id : "" }));
	return changed({
		asked: [...WELL.asked, ...asked],
		records: [...WELL.records, ...ended],
		witnessed: [...WELL.witnessed, ...ran],
		schedules: [schedule],
		...more,
	});
};

test("a schedule's times each come to one end, and to one invocation where it makes up for all", () => {
	const all = TIMES.map(fired);
	expect(firing(all, true)).toEqual([]);
	expect(firing(all.slice(1), true)).toEqual([`schedule s: ${FIRST} came to nothing`]);
	expect(firing(all.slice(1), false)).toEqual([`schedule s: ${FIRST} came to nothing`]);
	const skipped = [...all.slice(0, 3), { dueAt: FOURTH, result: "skipped" }];
	expect(firing(skipped, false)).toEqual([]);
	expect(firing(skipped, true)).toEqual([`schedule s: ${FOURTH} came to skipped`]);
	expect(firing([{ dueAt: THIRD, result: "missed", count: 3 }, fired(FOURTH)], false)).toEqual([]);
	expect(firing([{ dueAt: THIRD, result: "missed", count: 2 }, fired(FOURTH)], false)).toEqual([`schedule s: ${FIRST} came to nothing`]);
	expect(firing([...all.slice(1), { dueAt: FIRST, result: "failed" }], false)).toEqual([`schedule s: ${FIRST} came to failed`]);
	expect(firing([...all, { ...fired(SECOND), invocation: "inv_again" }], true)).toContainEqual(
		`schedule s: ${SECOND} came to fired and fired`,
	);
	const never = new Date(1000).toISOString();
	expect(firing([...all, fired(never)], true)).toEqual([`schedule s: ${never} wasn't due, and is fired`]);
});

test("a firing that ran under an id that no history has, or before its time, is found", () => {
	const all = TIMES.map(fired);
	const token = `s ${SECOND}`;
	const one = (id: string, atMs: number): Witnessed => ({ what: "began", token, id, attempt: 1, atMs });
	expect(firing(all, true, { witnessed: [...WELL.witnessed, one("inv_twin", 20_000)] })).toContain(
		`${token} ran as inv_twin, and nobody asked for that`,
	);
	expect(firing(all, true, { witnessed: [...WELL.witnessed, one(`inv_${SECOND}`, 2990)] })).toContainEqual(
		expect.stringMatching(/attempt 1 began 10 ms before its time/),
	);
});

test("what ran twice under one key is found, unless the gateway that had it had died so long before that the key was free", () => {
	const keyed = asking(WAITED, { hasKey: true, waited: { at: "gateway-0", fromMs: 900, untilMs: 40_000 } });
	const before = { ...began("w", 1, 1000), id: "inv_before" };
	const ranAnew = (diedMs: number, anewMs: number, to = "gateway-0") =>
		changed({
			asked: keyed,
			witnessed: [before, ...WELL.witnessed.filter(({ token }) => token !== "w"), began("w", 1, anewMs), ended("w", 1, anewMs + 1)],
			done: [{ to, fromMs: diedMs, untilMs: diedMs + 500 }],
		});
	const found = ["w ran as inv_before, and nobody asked for that"];
	expect(ranAnew(1000, 21_000)).toEqual([]);
	expect(ranAnew(1001, 21_000)).toEqual(found);
	expect(ranAnew(1000, 21_000, "gateway-1")).toEqual(found);
	expect(ranAnew(100, 21_000)).toEqual(found);
});
