import { describe, expect, test } from "vitest";
import { leftOutOf } from "./answer-headers.js";

describe("a function is told of the headers that its caller doesn't get", () => {
	test("by name and why, each once", () => {
		const line = leftOutOf([
			["x-own", "1"],
			["x-split", "a\r\nset-cookie: b"],
			["x-split", "a\0"],
			["a b", "1"],
			["Berth-Team", "1"],
			["x-accel-redirect", "/"],
			["location", "/first"],
			["location", "/second"],
		]);
		expect(line).toBe(
			"left out of the answer's headers: " +
				'"x-split" (its value has a line break, a NUL, another control character, or one beyond Latin-1), "a b" (no name that a header can have), ' +
				'"Berth-Team" (not for functions to say), "x-accel-redirect" (not for functions to say), "location" (an answer has one, and this isn\'t the first)',
		);
	});

	test("and not of what frames the answer, which HTTP libraries say of their own", () => {
		const said = ["connection", "keep-alive", "transfer-encoding", "Content-Length", "x-hop", "x-own"].map(
			(name) => [name, "x-hop"] as const,
		);
		expect(leftOutOf(said)).toBeUndefined();
		expect(leftOutOf([])).toBeUndefined();
	});

	test("in a line that is bounded and one, whatever the names are", () => {
		const line = leftOutOf([
			["a\r\nberth: forged", "1"],
			["n".repeat(5000), "1"],
			...Array.from({ length: 200 }, (_, at) => [`x-${at}-é`, "1"] as const),
		]);
		expect(line).toContain('"a\\r\\nberth: forged" (no name');
		expect(line).toContain("a name of 5000 characters (");
		expect(line).toMatch(/, and 192 more$/);
		expect(line).not.toMatch(/[\r\n]/);
		expect(line?.length).toBeLessThan(1500);
	});
});
