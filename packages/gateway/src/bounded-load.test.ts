import fc from "fast-check";
import { expect, test } from "vitest";
import { boundOf, type Candidate, FLOOR_PER_CORE, placeAmong as placeAmongThem, totalsOf } from "./bounded-load.js";
import { Rendezvous } from "./rendezvous.js";

const nodes = fc.uniqueArray(fc.record({ id: fc.stringMatching(/^[a-z]{1,6}$/), cores: fc.integer({ min: 1, max: 8 }) }), {
	selector: ({ id }) => id,
	minLength: 1,
	maxLength: 12,
});
const functions = fc.array(fc.stringMatching(/^p\/f[0-9]{1,2}$/), { minLength: 1, maxLength: 200 });

/** Places one invocation of each function after the other, none of which ends. */
function placeAll(all: readonly { readonly id: string; readonly cores: number }[], wanted: readonly string[]) {
	const rendezvous = new Rendezvous();
	const loads = new Map(all.map(({ id }) => [id, 0]));
	const candidate = (id: string): Candidate => ({
		id,
		cores: all.find((each) => each.id === id)?.cores ?? 1,
		load: loads.get(id) ?? 0,
	});
	const ids = all.map(({ id }) => id);
	const placed = wanted.map((key) => {
		const ordered = [...rendezvous.order(key, ids)].map((at) => candidate(ids[at] as string));
		const { id } = placeAmongThem(ordered, totalsOf(ordered), () => false) as Candidate;
		const bound = boundOf(candidate(id), totalsOf(ordered));
		loads.set(id, (loads.get(id) ?? 0) + 1);
		return { key, id, load: loads.get(id) as number, bound };
	});
	return placed;
}

test("whatever comes, all of it is placed, and no node gets more than its bound", () => {
	fc.assert(
		fc.property(nodes, functions, (all, wanted) => {
			const placed = placeAll(all, wanted);
			expect(placed).toHaveLength(wanted.length);
			for (const { load, bound } of placed) expect(load).toBeLessThanOrEqual(bound);
		}),
	);
});

test("with little in flight everybody is at home, and a node that goes moves those alone whose home it was", () => {
	fc.assert(
		fc.property(nodes, functions, fc.nat(), (all, wanted, at) => {
			const homes = (of: typeof all) => wanted.map((key) => placeAll(of, [key])[0]?.id);
			const before = homes(all);
			const gone = all[at % all.length]?.id;
			const left = all.filter(({ id }) => id !== gone);
			if (left.length === 0) return;
			const after = homes(left);
			for (const [index, home] of before.entries()) if (home !== gone) expect(after[index]).toBe(home);
		}),
	);
});

test("functions are spread: of many each of four nodes has its part", () => {
	const all = ["a", "b", "c", "d"].map((id) => ({ id, cores: 1 }));
	const homes = Array.from({ length: 400 }, (_, at) => placeAll(all, [`p/f${at}`])[0]?.id);
	for (const { id } of all) expect(homes.filter((home) => home === id).length).toBeGreaterThan(60);
});

type Warm = Candidate & { readonly isWarm: boolean };
const of = (id: string, load: number, isWarm = false, cores = 1): Warm => ({ id, cores, load, isWarm });
const placeAmong = (ordered: readonly Warm[]) => placeAmongThem(ordered, totalsOf(ordered), ({ isWarm }) => isWarm);

test("a warm node is taken before the home that isn't, but not beyond its bound; among warm ones the home is first", () => {
	expect(placeAmong([of("home", 0), of("next", 1, true)])?.id).toBe("next");
	expect(placeAmong([of("home", 0), of("next", 9, true)])?.id).toBe("home");
	expect(placeAmong([of("home", 1, true), of("next", 0, true)])?.id).toBe("home");
});

test("a flood of one function goes to the other nodes, too, by their cores", () => {
	const load = new Map([
		["small", 0],
		["large", 0],
	]);
	for (let at = 0; at < 80; at++) {
		const { id } = placeAmong([of("small", load.get("small") ?? 0, true), of("large", load.get("large") ?? 0, false, 7)]) as Candidate;
		load.set(id, (load.get(id) ?? 0) + 1);
	}
	expect(load.get("small")).toBeLessThanOrEqual(13);
	expect(load.get("large")).toBeGreaterThanOrEqual(67);
});

test("up to its floor a home keeps what it has, though the others are idle", () => {
	for (let load = 0; load < FLOOR_PER_CORE * 4; load++)
		expect(placeAmong([of("home", load, true, 4), of("b", 0), of("c", 0)])?.id).toBe("home");
	expect(placeAmong([of("home", FLOOR_PER_CORE * 4, true, 4), of("b", 0, false, 4), of("c", 0, false, 4)])?.id).toBe("b");
});

test("where there is no node there is no place", () => {
	expect(placeAmong([])).toBeUndefined();
});
