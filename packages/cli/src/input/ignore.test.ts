import { expect, test } from "vitest";
import { ignoreOf } from "./ignore.js";

const ignored = (rules: string, path: string, isDirectory = false) => ignoreOf(rules)(path, isDirectory);

test("node_modules and .git never go up, at any depth", () => {
	expect(ignored("", "node_modules", true)).toBe(true);
	expect(ignored("", "packages/a/node_modules", true)).toBe(true);
	expect(ignored("", ".git", true)).toBe(true);
	expect(ignored("", "src/index.ts")).toBe(false);
});

test("a name matches at any depth, a path from the top", () => {
	expect(ignored("*.log", "a/b/x.log")).toBe(true);
	expect(ignored("/build", "build", true)).toBe(true);
	expect(ignored("/build", "src/build", true)).toBe(false);
	expect(ignored("docs/*.md", "docs/a.md")).toBe(true);
	expect(ignored("docs/*.md", "x/docs/a.md")).toBe(false);
});

test("a pattern that ends in a slash is about directories only", () => {
	expect(ignored("data/", "data", true)).toBe(true);
	expect(ignored("data/", "data", false)).toBe(false);
});

test("comments and empty lines mean nothing, also with Windows line ends", () => {
	expect(ignored("# *.ts\r\n\r\n*.tmp\r\n", "a.ts")).toBe(false);
	expect(ignored("# *.ts\r\n\r\n*.tmp\r\n", "a.tmp")).toBe(true);
});

test("what isn't supported is said, not passed over", () => {
	expect(() => ignoreOf("!keep.log")).toThrow("isn't supported");
});
