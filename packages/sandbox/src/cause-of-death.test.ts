import { MIB } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { prewarmLimitsOf } from "./boot-key.js";
import { causeOfDeath, type Evidence, ownMemoryOf } from "./cause-of-death.js";
import { heapBytes, heapOf } from "./heap.js";
import { BASE } from "./testing/versions.js";

const HEAP = heapOf(128);
const FULL = heapBytes(HEAP);
const EVIDENCE: Evidence = {
	ending: {},
	exitCode: undefined,
	oomKills: 0,
	peakMemoryBytes: 30 * MIB,
	limits: prewarmLimitsOf({ kind: "function", base: BASE, language: "node", memoryClass: 128, network: "none" }),
	program: { language: "node", ...HEAP },
	streamed: false,
};
const violation = new Error("a frame that nobody asked for");

const ROWS: readonly (readonly [string, Partial<Evidence>, string, string])[] = [
	["the kernel killed it for memory", { oomKills: 1, exitCode: 137 }, "out_of_memory", "at its memory limit of 128 MiB"],
	["… however it ended", { oomKills: 3, ending: { violation }, exitCode: 1 }, "out_of_memory", "at its memory limit"],
	["V8 aborts with its heap full", { exitCode: 134, peakMemoryBytes: FULL }, "out_of_memory", "V8 ended it with its heap full"],
	["… by a trap", { exitCode: 133, peakMemoryBytes: FULL }, "out_of_memory", "V8 ended it"],
	["… by an illegal instruction", { exitCode: 132, peakMemoryBytes: FULL }, "out_of_memory", "V8 ended it"],
	["… known by the engine's word alone", { ending: { code: 134 }, peakMemoryBytes: FULL }, "out_of_memory", "V8 ended it"],
	[
		"Python aborts, whatever memory it has: it has no heap of V8's",
		{ program: { language: "python" }, exitCode: 134, peakMemoryBytes: FULL },
		"crashed",
		"was ended by signal 6",
	],
	["it aborts without the memory for it", { exitCode: 134, peakMemoryBytes: FULL - 1 }, "crashed", "was ended by signal 6"],
	["it exits with its heap full", { exitCode: 1, peakMemoryBytes: FULL }, "crashed", "exited with code 1"],
	["it breaks the protocol", { ending: { violation }, exitCode: 137 }, "crashed", "nobody asked for"],
	["it exits", { exitCode: 0 }, "crashed", "exited with code 0 before it answered"],
	["it exits in the middle of a stream", { exitCode: 3, streamed: true }, "crashed", "exited with code 3 before its answer was whole"],
	["it kills itself", { exitCode: 137 }, "crashed", "was ended by signal 9"],
	["it segfaults", { exitCode: 139 }, "crashed", "was ended by signal 11"],
	["only its connection is gone", {}, "crashed", "closed its connection"],
];

describe("what ended without an answer is told by evidence", () => {
	test.each(ROWS)("%s", (_what, evidence, outcome, message) => {
		const cause = causeOfDeath({ ...EVIDENCE, ...evidence });
		expect(cause.outcome).toBe(outcome);
		expect(cause.error.message).toContain(message);
	});
});

test("the error's name says what to look for", () => {
	const names = [{ oomKills: 1 }, { ending: { violation } }, { exitCode: 3 }].map(
		(evidence) => causeOfDeath({ ...EVIDENCE, ...evidence }).error.name,
	);
	expect(names).toEqual(["OutOfMemory", "ProtocolError", "ProcessExit"]);
});

test("where no cgroup kept a peak, the resident set tells a full heap from an abort, without Node's own files", () => {
	const of = (residentMiB: number) =>
		causeOfDeath({ ...EVIDENCE, exitCode: 134, peakMemoryBytes: ownMemoryOf({ maxResidentBytes: residentMiB * MIB }) }).outcome;
	// Measured with the heap of a 128 MiB sandbox: 58 MiB when it aborts by itself, 128 when its heap is full.
	expect([of(58), of(128)]).toEqual(["crashed", "out_of_memory"]);
	expect([ownMemoryOf(undefined), ownMemoryOf({ maxResidentBytes: 1 })]).toEqual([0, 0]);
});
