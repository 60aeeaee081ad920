import fc from "fast-check";
import { expect, test } from "vitest";
import { SimulatedNode } from "../testing/simulated-node.js";
import { FairRing, type Turn } from "./fair-ring.js";

test("who has work gets the same slot time, whatever runs take and however much waits", () => {
	const loads = fc.array(fc.record({ runMs: fc.integer({ min: 10, max: 400 }), jitter: fc.boolean() }), { minLength: 2, maxLength: 6 });
	fc.assert(
		fc.property(loads, fc.integer({ min: 8, max: 12 }), (functions, slotsEach) => {
			const node = new SimulatedNode(functions.length * slotsEach);
			let draw = 1;
			const drawn = () => {
				draw = (draw * 16807) % 2147483647;
				return draw / 2147483647;
			};
			for (const [at, { runMs, jitter }] of functions.entries()) {
				node.add(`f${at}`, 1e9, () => (jitter ? Math.max(1, Math.round(runMs * 2 * drawn())) : runMs));
			}
			node.run(20_000);
			const used = functions.map((_, at) => node.usedMs.get(`f${at}`) ?? 0);
			// With hardly more slots than functions, what each may hold at most would count for more than turns do: with four each, and runs of
			// 10 ms that all end at the same moment, one whose runs end between them has had 0.62 of what the others had.
			expect(Math.min(...used)).toBeGreaterThan(Math.max(...used) * 0.8);
		}),
		{ numRuns: 30 },
	);
});

test("no slot stays free while a function without any has work", () => {
	fc.assert(
		fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (slots, functions) => {
			const ring = new FairRing(slots, undefined, () => 0);
			for (let at = 0; at < functions; at++) ring.offer(`f${at}`, 1000);
			const first = Array.from({ length: Math.min(slots, functions) }, () => ring.next()?.key);
			expect(new Set(first).size).toBe(Math.min(slots, functions));
		}),
	);
});

test.each([
	[2, 1],
	[4, 3],
	[64, 56],
	[256, 224],
])("of %i slots a function alone holds %i, and who comes next has one at once, though its runs take an hour", (slots, most) => {
	const node = new SimulatedNode(slots);
	node.add("hog", 100_000, () => 3_600_000);
	node.run(1000);
	expect(node.heldBy("hog")).toBe(most);
	node.add("late", 1, () => 10);
	node.run(1001);
	expect(node.startedAtMs.get("late")).toEqual([1000]);
});

test("who comes with little is before those that always have work", () => {
	const node = new SimulatedNode(1);
	for (let at = 0; at < 500; at++) node.add(`hog${at}`, 1e6, () => 10);
	node.run(10_000);
	node.add("late", 1, () => 10);
	node.run(10_100);
	expect((node.startedAtMs.get("late") ?? [])[0]).toBeLessThanOrEqual(10_010);
});

test("coming and going gains nothing: what was used is still owed", () => {
	const node = new SimulatedNode(1);
	node.add("steady", 1e6, () => 10);
	node.add("comer", 1, () => 1000);
	for (let at = 1; at <= 300; at++) {
		node.run(at * 200);
		if (node.ring.waiting("comer") === 0 && node.heldBy("comer") === 0) node.add("comer", 1, () => 1000);
	}
	const [steady = 0, comer = 0] = [node.usedMs.get("steady"), node.usedMs.get("comer")];
	expect(steady).toBeGreaterThan(comer * 0.8);
});

test("a slot that was given for nothing costs nothing", () => {
	const ring = new FairRing(1, undefined, () => 0);
	ring.offer("a", 1);
	const turn = ring.next() as Turn;
	expect(ring.next()).toBeUndefined();
	ring.giveBack(turn);
	ring.offer("a", 1);
	ring.offer("b", 1);
	expect(ring.next()?.key).toBe("a");
	expect(ring.held).toBe(1);
});

test("a function alone holds at most 7/8 of the memory, whatever slots there are; the next one has some at once, and gets its own size back", () => {
	const sizes = fc.record({ hogMiB: fc.integer({ min: 64, max: 512 }), memoryMiB: fc.integer({ min: 1024, max: 65_536 }) });
	fc.assert(
		fc.property(sizes, fc.integer({ min: 1, max: 4096 }), ({ hogMiB, memoryMiB }, laterMiB) => {
			const ring = new FairRing(10_000, memoryMiB, () => 0);
			const take = () => {
				const turns: Turn[] = [];
				for (let turn = ring.next(); turn !== undefined; turn = ring.next()) turns.push(turn);
				return turns;
			};
			ring.offer("hog", 1e9, hogMiB);
			const turns = take();
			expect(turns.length * hogMiB).toBeLessThanOrEqual((memoryMiB * 7) / 8);
			expect((turns.length + 1) * hogMiB).toBeGreaterThan((memoryMiB * 7) / 8);
			ring.offer("late", 1, laterMiB);
			expect(take().map(({ key }) => key)).toEqual(["late"]);
			// Its size may change while it holds some: what a run took is what it gives back.
			ring.offer("hog", 1e9, 64);
			for (const turn of turns) ring.finish(turn, 0);
			expect(ring.held).toBe(1);
			const again = take().length * 64;
			expect(again).toBeLessThanOrEqual(Math.max(64, (memoryMiB * 7) / 8));
			expect(again + 64).toBeGreaterThan(((memoryMiB - laterMiB) * 7) / 8);
		}),
	);
});

test("on a machine that is full, runs that wait for something are many, and those that compute few; nobody knows at first which they are", () => {
	const ring = new FairRing(64, undefined, () => 0);
	ring.pace = 8;
	const take = () => {
		const turns: Turn[] = [];
		for (let turn = ring.next(); turn !== undefined; turn = ring.next()) turns.push(turn);
		return turns;
	};
	ring.offer("sleeps", 1e6);
	const first = take();
	expect(first).toHaveLength(7);
	for (const turn of first) {
		ring.computed("sleeps", 0.01);
		ring.finish(turn, 200);
	}
	const sleeping = take();
	expect(sleeping.length).toBeGreaterThan(40);
	expect(sleeping.length).toBeLessThanOrEqual((64 * 7) / 8);
	// They are in nobody's way: whoever computes has what there would be without them, but for the little that they take.
	ring.offer("computes", 1e6);
	const computing = take();
	expect(computing.length).toBeGreaterThanOrEqual(2);
	expect(computing.length).toBeLessThanOrEqual(7);
	// What computes after all is held to the pace again, and what is given back leaves nothing behind.
	for (const turn of [...sleeping, ...computing]) {
		ring.computed(turn.key, 1);
		ring.finish(turn, 200);
	}
	expect(ring.held).toBe(0);
	ring.offer("computes", 0);
	expect(take()).toHaveLength(7);
});
