import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { COLUMN_FILES, COLUMNS } from "../security/matrix/attack.js";
import { MATRIX } from "../security/matrix/attacks.js";
import { cellOf, pageOf } from "../security/matrix/page.js";
import { hasTest } from "./named-tests.js";
import { ROOT } from "./pages.js";

/** What several attacks are made with. */
const HELPERS = ["trying.py", "frames.py"];
const FIXTURES = join(ROOT, "test/fixtures/attacks");

describe("the matrix of attacks", () => {
	test("has no blank cell", () => {
		const blank = MATRIX.flatMap((row) =>
			COLUMNS.filter((column) => cellOf(row, column) === undefined).map((column) => [row.name, column]),
		);
		expect(blank).toEqual([]);
	});

	test("says of each attack what holds it", () => {
		expect(MATRIX.filter(({ attack }) => (attack?.heldBy.length ?? 0) === 0).map(({ name }) => name)).toEqual([]);
	});

	test("names tests that are there", () => {
		const named = MATRIX.flatMap(({ attack }) => (attack !== undefined && "tests" in attack ? attack.tests : []));
		expect(named.filter(({ file, title }) => !hasTest(join(ROOT, file), title, "all of it"))).toEqual([]);
	});

	test("is tried, column by column", () => {
		for (const column of COLUMNS) expect(readFileSync(join(ROOT, COLUMN_FILES[column]), "utf8")).toContain(`attackColumn("${column}"`);
	});

	test("has a fixture for each attack that is tried with a function, and none for nothing", () => {
		const used = MATRIX.flatMap(({ attack }) => (attack !== undefined && "fixture" in attack ? [attack.fixture] : []));
		expect(used.filter((name) => !existsSync(join(FIXTURES, name)))).toEqual([]);
		expect(readdirSync(FIXTURES).filter((name) => ![...HELPERS, ...used].includes(name))).toEqual([]);
	});

	test("has no name twice", () => {
		const names = MATRIX.map(({ name }) => name);
		expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
	});
});

// After a change: npm test -- --project docs -u
test("docs/attacks.md is the matrix, for reading", async () => {
	await expect(pageOf(MATRIX)).toMatchFileSnapshot(join(ROOT, "docs/attacks.md"));
});
