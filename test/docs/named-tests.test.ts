import { expect, test } from "vitest";
import { runs } from "./named-tests.js";

const TABLE = `([["(a", 1]])`;

test.each([
	['it("is held", () => {});', true],
	["\tdescribe.concurrent(`is held`, () => {});", true],
	[`it.each${TABLE}(\n\t"is held",\n\t() => {});`, true],
	['it.skip("is held", () => {});', false],
	['it.todo("is held");', false],
	[`describe.skip.each${TABLE}("is held", () => {});`, false],
	['// it("is held", () => {});', false],
	['/** Says it: "is held". */', false],
	['it("is", () => expect("is held"));', false],
	[`it.each([["is held"]])("is", () => {});`, false],
	['it("is held by more", () => {});', false],
	['unit("is held", () => {});', false],
])("a title that documents name is a whole one of a test that is run: %s", (source, isOne) => {
	expect(runs(source, "is held", "all of it")).toBe(isOne);
});
