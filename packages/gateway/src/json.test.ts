import { BerthError } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { parseJson } from "./json.js";

const parsed = (text: string, mostFields?: number) => parseJson(Buffer.from(text), "it", mostFields);

test.each(["1", '"x"', "null", "[]", "{}", '{"a":[{"b":[null,{}]}],"c":"__proto__"}'])("%s is taken as it is", (text) => {
	expect(parsed(text)).toEqual(JSON.parse(text));
});

describe("is refused", () => {
	test.each([
		["", "empty"],
		["{", "isn't valid JSON"],
		['{"__proto__":1}', "__proto__"],
		['[[{"a":{"__proto__":{}}}]]', "__proto__"],
		// Another way to write the same name.
		['{"\\u005f_pr\\u006fto__":1}', "__proto__"],
		["[".repeat(1001) + "]".repeat(1001), "nested too deeply"],
		[`${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`, "nested too deeply"],
	])("%.40s", (text, message) => {
		expect(() => parsed(text)).toThrow(BerthError);
		expect(() => parsed(text)).toThrow(message);
	});

	test("more arrays, objects or fields than can be parsed in a moment, but not what only looks like them", () => {
		const list = (item: string, count: number) => `[${Array(count).fill(item).join(",")}]`;
		expect(() => parsed(list("{}", 200_000))).toThrow("more than 200000 arrays and objects");
		expect(() => parsed(list("[]", 200_000))).toThrow("more than 200000 arrays and objects");
		expect(() => parsed(`{${Array.from({ length: 400_001 }, (_, i) => `"${i}":0`).join(",")}}`)).toThrow("more than 400000 fields");
		expect(parsed(list("{}", 199_999))).toHaveLength(199_999);
		expect(parsed(JSON.stringify('\\"[{:'.repeat(300_000)))).toHaveLength(1_500_000);
	});

	test("more fields than may be, wherever they are", () => {
		expect(parsed('{"a":[{"b":1},{"c":1}]}', 3)).toBeDefined();
		expect(() => parsed('{"a":[{"b":1},{"c":1}]}', 2)).toThrow("more than 2 fields");
	});
});

test("as deep as may be is written again", () => {
	const deepest = "[".repeat(1000) + "]".repeat(1000);
	expect(JSON.stringify(parsed(deepest))).toBe(deepest);
});
