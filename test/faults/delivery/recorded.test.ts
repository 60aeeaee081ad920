import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { violationsIn } from "./checker.js";
import type { Asked, History, ScheduledRun, Witnessed } from "./history.js";

/** Of a round of `test/faults/nodes` (24 faults, 2026-11-26): two invocations of each kind and end that there was, with all that was seen of them; what was done, and all of the schedules. */
const RECORDED = JSON.parse(readFileSync(new URL("recorded.json", import.meta.url), "utf8")) as History;
const changed = (change: Partial<History>) => violationsIn({ ...RECORDED, ...change });

const idOf = ({ told }: Asked) => ("id" in told ? told.id : "");
const begunBy = ({ token }: Asked) => RECORDED.witnessed.filter((one) => one.token === token && one.what === "began");
const isOf =
	({ token }: Asked) =>
	(one: Witnessed) =>
		one.token === token;
const ACCEPTED = RECORDED.asked.filter(({ told, cancelledAtMs }) => told.kind === "accepted" && cancelledAtMs === undefined);
const SUCCEEDED = ACCEPTED.filter((asked) => RECORDED.records.some(({ id, outcome }) => id === idOf(asked) && outcome === "succeeded"));
const WAITED = RECORDED.asked.filter(({ told }) => told.kind === "answered" && told.outcome === "succeeded");
const RETRIED = SUCCEEDED.filter((asked) => begunBy(asked).length > 1);
const LOST = RECORDED.asked.filter(({ told }) => "code" in told && told.code === "worker_lost");
const SCHEDULES = RECORDED.schedules ?? [];
const FIRINGS = SCHEDULES.flatMap(({ name, runs }) => runs.map((run) => [name, run.dueAt, run.result] as const));
const REFUSED = RECORDED.asked.filter(({ told }) => told.kind === "refused");

test("nothing is found in what was recorded, and there is enough to change in it", () => {
	expect(violationsIn(RECORDED)).toEqual([]);
	for (const some of [SUCCEEDED, WAITED, RETRIED, LOST, FIRINGS, REFUSED]) expect(some.length).toBeGreaterThan(0);
});

test.each(ACCEPTED.map((asked) => [`${asked.deed} ${asked.token}`, asked] as const))("a loss is found: the record of %s", (_, asked) => {
	const records = RECORDED.records.filter(({ id }) => id !== idOf(asked));
	expect(changed({ records })).toEqual([expect.stringContaining(`${idOf(asked)}: accepted, and there is no record of it`)]);
});

test.each(SUCCEEDED.map((asked) => [`${asked.deed} ${asked.token}`, asked] as const))("a loss is found: what %s did", (_, asked) => {
	const witnessed = RECORDED.witnessed.filter((one) => !isOf(asked)(one));
	expect(changed({ witnessed })).toEqual([expect.stringMatching(`${idOf(asked)}: it succeeded in attempt \\d+, which never ended`)]);
});

test.each([...WAITED, ...SUCCEEDED].map((asked) => [`${asked.lane} ${asked.deed} ${asked.token}`, asked] as const))(
	"a duplicate is found: %s begins once more",
	(_, asked) => {
		const again = begunBy(asked).at(-1) as Witnessed;
		const found = changed({ witnessed: [...RECORDED.witnessed, again] });
		expect(found).toContainEqual(expect.stringContaining(`${idOf(asked)}: attempt ${again.attempt} began after attempt ${again.attempt}`));
		if (asked.lane === "interactive")
			expect(found).toContainEqual(expect.stringContaining(`${idOf(asked)}: it began 2 times, and somebody waited for it`));
	},
);

test.each(RETRIED.map((asked) => [`${asked.deed} ${asked.token}`, asked] as const))(
	"reordering is found: the attempts of %s the other way round, and the settlement of the earlier one",
	(_, asked) => {
		const [first, second] = begunBy(asked) as [Witnessed, Witnessed];
		const swapped = RECORDED.witnessed.map((one) => (one === first ? second : one === second ? first : one));
		expect(changed({ witnessed: swapped })).toContainEqual(
			expect.stringContaining(`${idOf(asked)}: attempt ${first.attempt} began after attempt ${second.attempt}`),
		);
		const records = RECORDED.records.map((record) => (record.id === idOf(asked) ? { ...record, attempt: first.attempt } : record));
		const last = begunBy(asked).at(-1) as Witnessed;
		expect(changed({ records })).toContainEqual(
			expect.stringContaining(`${idOf(asked)}: settled by attempt ${first.attempt}, and attempt ${last.attempt} began`),
		);
	},
);

test.each(LOST.map((asked) => [`${asked.deed} ${asked.token}`, asked] as const))(
	"a loss is found that nothing explains: %s, where nothing was done",
	(_, asked) => {
		const excuse = (to: string) => changed({ done: (RECORDED.done ?? []).filter((each) => each.to === to) });
		expect(changed({ done: [] })).toContainEqual(expect.stringContaining(`${asked.token}: it was lost at`));
		// What was done to the durable Redis explains nothing to who waits.
		expect(excuse("durable")).toContainEqual(expect.stringContaining(`${asked.token}: it was lost at`));
	},
);

test.each(FIRINGS)("a firing that is none is found, and one that is two: %s, %s (%s)", (name, dueAt, result) => {
	const withRuns = (change: (runs: readonly ScheduledRun[]) => readonly ScheduledRun[]) =>
		changed({ schedules: SCHEDULES.map((each) => (each.name === name ? { ...each, runs: change(each.runs) } : each)) });
	expect(withRuns((runs) => runs.filter((run) => run.dueAt !== dueAt))).toEqual([`schedule ${name}: ${dueAt} came to nothing`]);
	expect(withRuns((runs) => [...runs, ...runs.filter((run) => run.dueAt === dueAt)])).toEqual([
		`schedule ${name}: ${dueAt} came to ${result} and ${result}`,
	]);
});

test.each(REFUSED.map((asked) => [asked.token, asked] as const))("what was refused and runs all the same is found: %s", (token, asked) => {
	const ran: Witnessed = { what: "began", token, id: "inv_late", attempt: 1, atMs: 0 };
	expect(changed({ witnessed: [...RECORDED.witnessed, ran] })).toContainEqual(
		expect.stringContaining(`${asked.told.kind === "refused" ? asked.told.code : ""}, and ran`),
	);
});
