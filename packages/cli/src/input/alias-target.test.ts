import { expect, test } from "vitest";
import { aliasTargetOf } from "./alias-target.js";

test.each([
	[["latest"], { follows: true }],
	[["v3"], { weights: { 3: 100 } }],
	[["3"], { weights: { 3: 100 } }],
	[["v3=100"], { weights: { 3: 100 } }],
	[["v3=90", "4=10"], { weights: { 3: 90, 4: 10 } }],
])("%j is %j", (words, target) => expect(aliasTargetOf(words)).toEqual(target));

test.each([
	[["v3=90"], "these sum to 90"],
	[["v3=50", "3=50"], "named twice"],
	[["v3", "v4"], '"v3" isn\'t one of them'],
	[["latest", "v4=10"], '"latest" isn\'t one of them'],
	[["v3=100", "v4=0"], '"v4=0" isn\'t one of them'],
	[["v3=99.5", "v4=0.5"], '"v3=99.5" isn\'t one of them'],
	[["v0"], '"v0" isn\'t one of them'],
])("%j is refused: %s", (words, why) => expect(() => aliasTargetOf(words)).toThrow(why));
