import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson } from "./canonical-json.js";
import { nearestWord } from "./nearest-word.js";
import { isDigest } from "./units.js";

test("equal values have the same canonical JSON, whatever the order of their keys", () => {
	const turned = (value: unknown): unknown => {
		if (Array.isArray(value)) return value.map(turned);
		if (typeof value !== "object" || value === null) return value;
		return Object.fromEntries(
			Object.entries(value)
				.reverse()
				.map(([key, inner]) => [key, turned(inner)]),
		);
	};
	fc.assert(
		fc.property(fc.jsonValue(), (value) => {
			expect(canonicalJson(turned(value))).toBe(canonicalJson(value));
			expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
		}),
	);
});

test("the word that was meant is found, and none when nothing is like it", () => {
	const words = ["memoryMiB", "timeoutMs", "runtime"];
	expect(["memoryMb", "MEMORYMIB", "timeout", "rutnime", "colour"].map((word) => nearestWord(word, words))).toEqual([
		"memoryMiB",
		"memoryMiB",
		"timeoutMs",
		"runtime",
		undefined,
	]);
	expect(nearestWord("x".repeat(10_000), words)).toBeUndefined();
	expect(["foo", "crn", "cro"].map((word) => nearestWord(word, ["cron", "at"]))).toEqual([undefined, "cron", "cron"]);
});

test.each([
	[`sha256:${"0a".repeat(32)}`, true],
	[`sha256:${"0A".repeat(32)}`, false],
	[`sha256:${"0a".repeat(31)}`, false],
	[`sha512:${"0a".repeat(32)}`, false],
	[`sha256:${"0a".repeat(32)}\n`, false],
	["sha256:../../etc", false],
])("%j is a digest: %j", (text, expected) => expect(isDigest(text)).toBe(expected));
