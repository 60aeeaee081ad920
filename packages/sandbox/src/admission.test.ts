import fc from "fast-check";
import { expect, test } from "vitest";
import { Admission } from "./admission.js";

test("what fits is what the budget has left", () => {
	const admission = new Admission(100);
	admission.reserve("a", 60);
	expect([admission.fits(40), admission.fits(41)]).toEqual([true, false]);
	expect([admission.missing(40), admission.missing(41)]).toEqual([0, 1]);
});

test("a sandbox that changes is counted in place of what it held: a frozen one needs room for the difference only", () => {
	const admission = new Admission(100);
	admission.reserve("a", 60);
	admission.reserve("b", 30);
	expect([admission.fits(70, "a"), admission.fits(71, "a")]).toEqual([true, false]);
	admission.reserve("a", 70);
	expect(admission.reservedBytes).toBe(100);
});

test("what is leaving counts until it is gone, but nothing more has to go for it", () => {
	const admission = new Admission(100);
	admission.reserve("a", 100);
	admission.leave("a");
	admission.leave("a");
	expect(admission.fits(50)).toBe(false);
	expect(admission.missing(50)).toBe(-50);
	admission.release("a");
	expect(admission.fits(100)).toBe(true);
	expect(admission.missing(100)).toBe(0);
});

test("what can't leave counts like everything else: something more has to go for others", () => {
	const admission = new Admission(100);
	admission.reserve("a", 100);
	admission.leave("a");
	admission.stay("a");
	admission.stay("a");
	expect([admission.fits(50), admission.missing(50)]).toEqual([false, 50]);
	admission.release("a");
	expect([admission.fits(100), admission.missing(100)]).toEqual([true, 0]);
});

const ids = fc.constantFrom("a", "b", "c", "d");
const steps = fc.array(
	fc.oneof(
		fc.record({ what: fc.constant("reserve" as const), id: ids, bytes: fc.nat(1000) }),
		fc.record({ what: fc.constantFrom("leave" as const, "stay" as const, "release" as const), id: ids }),
	),
	{ maxLength: 60 },
);

test("whatever happens, the total is the sum of what is held, and what leaves is never counted twice", () => {
	fc.assert(
		fc.property(steps, (all) => {
			const admission = new Admission(2000);
			const held = new Map<string, number>();
			const leaving = new Set<string>();
			const sum = (among: Iterable<string>) => [...among].reduce((total, id) => total + (held.get(id) ?? 0), 0);
			for (const step of all) {
				// A sandbox that is on its way out isn't given anything more.
				if (step.what === "reserve" && leaving.has(step.id)) continue;
				if (step.what === "reserve") {
					admission.reserve(step.id, step.bytes);
					held.set(step.id, step.bytes);
				} else if (step.what === "leave") {
					admission.leave(step.id);
					if (held.has(step.id)) leaving.add(step.id);
					else admission.release(step.id);
				} else if (step.what === "stay") {
					admission.stay(step.id);
					leaving.delete(step.id);
				} else {
					admission.release(step.id);
					held.delete(step.id);
					leaving.delete(step.id);
				}
				expect(admission.reservedBytes).toBe(sum(held.keys()));
				expect(admission.missing(0)).toBe(sum(held.keys()) - sum(leaving) - 2000);
			}
		}),
	);
});
