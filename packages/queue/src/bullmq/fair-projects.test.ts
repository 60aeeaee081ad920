import fc from "fast-check";
import { expect, test } from "vitest";
import { SimulatedNode } from "../testing/simulated-node.js";
import { FairRing, type Turn } from "./fair-ring.js";

const HOUR_MS = 3_600_000;

/** Functions of a project with more work than there is time for. */
function crowd(node: SimulatedNode, project: string, functions: number, runMs = 10): void {
	for (let at = 0; at < functions; at++) node.add(`${project}/f${at}`, 1e9, () => runMs);
}

/** Slot time of a project, and what its functions had of it. */
function usedBy(node: SimulatedNode, project: string): { all: number; each: number[] } {
	const each = [...node.usedMs].filter(([key]) => key.startsWith(`${project}/`)).map(([, ms]) => ms);
	return { all: each.reduce((sum, ms) => sum + ms, 0), each };
}

test("projects get the same slot time, however many functions each has and however long its runs are; so do the functions of each", () => {
	const projects = fc.array(fc.record({ functions: fc.integer({ min: 1, max: 60 }), runMs: fc.integer({ min: 10, max: 200 }) }), {
		minLength: 2,
		maxLength: 4,
	});
	fc.assert(
		fc.property(projects, fc.integer({ min: 4, max: 16 }), (of, slotsEach) => {
			const node = new SimulatedNode(of.length * slotsEach);
			for (const [at, { functions, runMs }] of of.entries()) crowd(node, `p${at}`, functions, runMs);
			node.run(20_000);
			const used = of.map((_, at) => usedBy(node, `p${at}`));
			const all = used.map((one) => one.all);
			// Who has one function with short runs has a gap between two of them, which the others' take: 0.7 of theirs is the least that was seen.
			expect(Math.min(...all)).toBeGreaterThan(Math.max(...all) * 0.6);
			for (const [at, { each }] of used.entries()) {
				expect(each).toHaveLength(of[at]?.functions ?? 0);
				// None is ahead of another by more than what a turn may cost and the node's slots began at once.
				expect(Math.max(...each) - Math.min(...each)).toBeLessThanOrEqual(Math.max(...each) * 0.2 + 2 * (of[at]?.runMs ?? 0) + 50);
			}
		}),
		{ numRuns: 8, seed: 20261126 },
	);
});

test("who has one function has half of a node beside one of a thousand, and a third beside two", () => {
	const node = new SimulatedNode(32);
	crowd(node, "many", 1000);
	node.run(2000);
	crowd(node, "one", 1);
	const before = usedBy(node, "many").all;
	node.run(8000);
	const [many, one] = [usedBy(node, "many").all - before, usedBy(node, "one").all];
	expect(one / (one + many)).toBeGreaterThan(0.48);
	expect(one / (one + many)).toBeLessThan(0.52);

	crowd(node, "late", 7);
	const then = [usedBy(node, "many").all, usedBy(node, "one").all];
	node.run(14_000);
	const now = [usedBy(node, "many").all - (then[0] ?? 0), usedBy(node, "one").all - (then[1] ?? 0), usedBy(node, "late").all];
	const sum = now.reduce((all, each) => all + each);
	for (const each of now) {
		expect(each / sum).toBeGreaterThan(0.31);
		expect(each / sum).toBeLessThan(0.36);
	}
});

test("however many functions of one project run for an hour, a sixteenth of the slots is left for projects that have none", () => {
	const node = new SimulatedNode(64);
	crowd(node, "many", 1000, HOUR_MS);
	node.run(1000);
	expect(node.held).toBe(60);
	for (const project of ["a", "b", "c", "d"]) {
		crowd(node, project, 3, HOUR_MS);
		node.run(node.nowMs + 1);
		expect(node.heldBy(`${project}/f0`)).toBe(1);
	}
});

test("a function beside long runs of its own project starts at once, as long as none else has work", () => {
	const node = new SimulatedNode(64);
	node.add("shop/hog", 1e6, () => HOUR_MS);
	node.run(1000);
	expect(node.heldBy("shop/hog")).toBe(56);
	node.add("shop/late", 1, () => 10);
	node.run(1001);
	expect(node.startedAtMs.get("shop/late")).toEqual([1000]);
});

test("on a machine that is full many functions that compute have no more of it than another's one", () => {
	const ring = new FairRing(256, undefined, () => 0);
	ring.pace = 16;
	const turns: Turn[] = [];
	const take = () => {
		for (let turn = ring.next(); turn !== undefined; turn = ring.next()) turns.push(turn);
	};
	const heldBy = (project: string) => turns.filter(({ key }) => key.startsWith(`${project}/`)).length;
	for (let at = 0; at < 100; at++) ring.offer(`many/f${at}`, 1000);
	take();
	expect(heldBy("many")).toBe(100);
	ring.offer("one/f", 1000);
	take();
	expect(heldBy("one")).toBe(1);
	for (let round = 0; round < 500; round++) {
		ring.finish(turns.shift() as Turn, 10);
		take();
	}
	expect(Math.abs(heldBy("many") - heldBy("one"))).toBeLessThanOrEqual(1);
	expect(heldBy("many") + heldBy("one")).toBeLessThanOrEqual(16);
});

test("a project that rests gets no slot, is charged nothing, and keeps nobody from one; then it has its turn again", () => {
	const ring = new FairRing(2, undefined, () => 0);
	ring.offer("full/a", 5);
	const turn = ring.next() as Turn;
	ring.giveBack(turn);
	ring.rest("full");
	ring.offer("full/a", 5);
	ring.offer("full/b", 5);
	expect(ring.next()).toBeUndefined();
	ring.offer("other/a", 1);
	const other = ring.next() as Turn;
	expect(other.key).toBe("other/a");
	ring.finish(other, 10);
	ring.resume("full");
	expect(ring.next()?.key).toMatch(/^full/);
	// What left meanwhile is not brought back.
	ring.rest("full");
	ring.offer("full/a", 0);
	ring.offer("full/b", 0);
	ring.resume("full");
	expect(ring.next()).toBeUndefined();
});
