import fc from "fast-check";
import { expect, test } from "vitest";
import { FairLine, type Taken } from "./fair-line.js";

/** Items are `project/function number`. */
const lineOf = (now?: () => number) => new FairLine<string>((item) => item.slice(0, item.indexOf(" ")), now);

/** Who runs on a node of so many places, by a clock of its own, as long as there is something for everybody. */
function served(places: number, runMs: ReadonlyMap<string, number>, untilMs: number): Map<string, number> {
	let nowMs = 0;
	let count = 0;
	const line = lineOf(() => nowMs);
	const used = new Map<string, number>();
	const running: { taken: Taken<string>; endsMs: number; ms: number }[] = [];
	const projectOf = (item: string) => item.slice(0, item.indexOf("/"));
	for (const key of runMs.keys()) for (let n = 0; n < places + 1; n++) line.push(`${key} ${count++}`);
	while (nowMs < untilMs) {
		while (running.length < places) {
			const taken = line.shift() as Taken<string>;
			const { key } = taken.turn;
			const ms = runMs.get(key) as number;
			line.push(`${key} ${count++}`);
			running.push({ taken, endsMs: nowMs + ms, ms });
		}
		running.sort((a, b) => a.endsMs - b.endsMs);
		const { taken, endsMs, ms } = running.shift() as (typeof running)[number];
		nowMs = endsMs;
		const project = projectOf(taken.item);
		used.set(project, (used.get(project) ?? 0) + ms);
		line.finish(taken.turn, ms);
	}
	return used;
}

const names = fc.constantFrom("a/1", "a/2", "b/1", "c/1");
const steps = fc.array(
	fc.oneof(
		names.map((key) => ({ kind: "push" as const, key })),
		fc.constantFrom({ kind: "shift" as const }, { kind: "finish" as const }, { kind: "giveBack" as const }),
		names.map((key) => ({ kind: "takeOut" as const, key })),
	),
	{ maxLength: 200 },
);

test("whatever comes and goes, each leaves once, in its function's order, and as long as anybody waits somebody is next", () => {
	fc.assert(
		fc.property(steps, (all) => {
			const line = lineOf(() => 0);
			const waiting: string[] = [];
			const taken: Taken<string>[] = [];
			for (const [at, step] of all.entries()) {
				if (step.kind === "push") {
					line.push(`${step.key} ${at}`);
					waiting.push(`${step.key} ${at}`);
				} else if (step.kind === "takeOut") {
					const isSo = (item: string) => item.startsWith(`${step.key} `) && Number(item.split(" ")[1]) % 2 === 0;
					expect(line.takeOut(isSo)).toEqual(waiting.filter(isSo));
					waiting.splice(0, waiting.length, ...waiting.filter((item) => !isSo(item)));
				} else if (step.kind === "shift") {
					const next = line.shift();
					expect(next === undefined).toBe(waiting.length === 0);
					if (next === undefined) continue;
					expect(next.item).toBe(waiting.find((item) => item.startsWith(`${next.turn.key} `)));
					waiting.splice(waiting.indexOf(next.item), 1);
					taken.push(next);
				} else {
					const over = taken.shift();
					if (over === undefined) continue;
					if (step.kind === "finish") line.finish(over.turn, at);
					else line.giveBack(over.turn);
				}
				expect(line.length).toBe(waiting.length);
			}
		}),
	);
});

test("a project that floods with any number of functions, whatever their runs take, has no more of the places' time than one with a single function", () => {
	const ms = fc.integer({ min: 1, max: 400 });
	fc.assert(
		fc.property(fc.integer({ min: 2, max: 16 }), fc.array(ms, { minLength: 1, maxLength: 100 }), ms, (places, flood, own) => {
			const runMs = new Map([["one/only", own], ...flood.map((each, at) => [`many/${at}`, each] as const)]);
			const used = served(places, runMs, 20_000);
			const [one = 0, many = 0] = [used.get("one"), used.get("many")];
			expect(one / (one + many)).toBeGreaterThan(0.4);
			expect(one / (one + many)).toBeLessThan(0.6);
		}),
		{ numRuns: 20 },
	);
});

test("who comes while another project floods is next, with as many as it has, until it has had as much", () => {
	const line = lineOf(() => 0);
	for (let n = 0; n < 1000; n++) line.push(`flood/f${n % 100} ${n}`);
	for (let n = 0; n < 10; n++) line.shift();
	line.push("late/one 1");
	expect(line.shift()?.item).toBe("late/one 1");
	expect(line.length).toBe(990);
});
