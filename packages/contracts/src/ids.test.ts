import fc from "fast-check";
import { expect, test } from "vitest";
import { NAME_PATTERN, newId, timeOfId } from "./ids.js";

test("an id tells its time, sorts by it, and is like no other", () => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: 2 ** 49 }), fc.integer({ min: 1, max: 10_000 }), (ms, later) => {
			const [a, b] = [newId("inv", ms), newId("inv", ms + later)];
			expect(a).toMatch(/^inv_[0-9a-hjkmnp-tv-z]{26}$/);
			expect([timeOfId(a), timeOfId(b)]).toEqual([ms, ms + later]);
			expect(a < b).toBe(true);
		}),
	);
	const many = Array.from({ length: 20_000 }, () => newId("job", 0));
	expect(new Set(many).size).toBe(many.length);
});

test("every digit of the random part takes every value", () => {
	const seen = Array.from({ length: 16 }, () => new Set<string>());
	for (let i = 0; i < 5000; i++) for (const [at, digit] of [...newId("job").slice(-16)].entries()) seen[at]?.add(digit);
	expect(seen.map(({ size }) => size)).toEqual(Array.from({ length: 16 }, () => 32));
});

test.each(["", "inv_", "inv_0", `inv_${"u".repeat(26)}`, `inv_${"0".repeat(27)}`])("%j tells no time", (text) => {
	expect(timeOfId(text)).toBeUndefined();
});

test.each([
	["a", true],
	["a-1", true],
	["a".repeat(63), true],
	["a".repeat(64), false],
	["1a", false],
	["A", false],
	["a_b", false],
	["a\n", false],
	["", false],
	["__proto__", false],
	["аb", false],
])("the name %j: %j", (name, allowed) => expect(NAME_PATTERN.test(name)).toBe(allowed));
