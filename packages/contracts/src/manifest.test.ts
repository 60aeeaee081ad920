import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FIXED_LIMITS, LIMITS, memoryClassOf } from "./limits.js";
import { inlineDeploySchema, manifestSchema, sourcePath } from "./manifest.js";

const isTaken = (manifest: unknown) => manifestSchema.safeParse(manifest).success;

test("a manifest that says nothing has every default", () => {
	expect(manifestSchema.parse({})).toEqual({
		runtime: "node24",
		memoryMiB: 128,
		cpuMilli: 1000,
		timeoutMs: 30_000,
		tmpfsMiB: 64,
		concurrency: 100,
		network: "none",
		env: {},
		reuse: "version",
		scratch: "keep",
		public: false,
	});
});

describe.each(Object.entries(LIMITS))("%s", (field, { min, max, default: standard }) => {
	test("takes its whole range and nothing beyond", () => {
		for (const value of [min, max, standard]) expect(isTaken({ [field]: value })).toBe(true);
		for (const value of [min - 1, max + 1, min + 0.5, String(min), null, Number.NaN]) expect(isTaken({ [field]: value })).toBe(false);
	});
});

test("a field that there isn't is refused, not left out", () => {
	fc.assert(
		fc.property(fc.string(), fc.jsonValue(), (name, value) => {
			fc.pre(!(name in manifestSchema.shape) && name !== "__proto__");
			expect(isTaken({ [name]: value })).toBe(false);
		}),
	);
});

test("what was parsed once parses to the same again", () => {
	const manifest = manifestSchema.parse({ memoryMiB: 256, env: { A: "1" }, reuse: 3, description: "x" });
	expect(manifestSchema.parse(manifest)).toEqual(manifest);
});

describe("env", () => {
	test.each([{ A: "1" }, { _a1: "" }, { A: "é\n" }])("takes %j", (env) => expect(isTaken({ env })).toBe(true));
	test.each([{ "1A": "x" }, { "A-B": "x" }, { "": "x" }, { A: 1 }, { A: "a\0b" }])("refuses %j", (env) =>
		expect(isTaken({ env })).toBe(false),
	);

	test("counts bytes, not characters", () => {
		const most = FIXED_LIMITS.envBytes - 1;
		expect(isTaken({ env: { A: "x".repeat(most) } })).toBe(true);
		expect(isTaken({ env: { A: "x".repeat(most + 1) } })).toBe(false);
		expect(isTaken({ env: { A: "é".repeat(most / 2 + 1) } })).toBe(false);
	});

	test("has so many variables at most", () => {
		const env = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`A${i}`, ""]));
		expect([isTaken({ env: env(FIXED_LIMITS.envCount) }), isTaken({ env: env(FIXED_LIMITS.envCount + 1) })]).toEqual([true, false]);
	});
});

describe("a path in the source", () => {
	test.each(["a.ts", "src/a.ts", ".hidden/a", "a..b/c", "ä.ts"])("may be %j", (path) =>
		expect(sourcePath.safeParse(path).success).toBe(true),
	);
	test.each(["", "/a", "../a", "a/../b", "a/..", "./a", "a\\b", "a\0b", "a\n/../../b", "..\n", "a".repeat(256)])("mustn't be %j", (path) =>
		expect(sourcePath.safeParse(path).success).toBe(false),
	);
});

test("an inline source is bounded in bytes", () => {
	const half = FIXED_LIMITS.sourceBytes / 2;
	expect(inlineDeploySchema.safeParse({ source: "é".repeat(half) }).success).toBe(true);
	expect(inlineDeploySchema.safeParse({ source: "é".repeat(half + 1) }).success).toBe(false);
});

test("a version runs in the largest memory class that fits", () => {
	expect([64, 127, 128, 300, 4096].map(memoryClassOf)).toEqual([64, 64, 128, 256, 4096]);
});
