import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const BUNDLE = join(ROOT, "scripts/bundle.mjs");
const AROUND = `import { fail } from "./inner.mjs";
const how = process.argv[2];
try { await fail(how); } catch (error) {
	if (how === "uncaught") throw error;
	console.log(error.stack);
}`;
const INNER = `// Whitespace and comments aren't in the bundle.
class Nameless extends Error { toString() { throw new Error("no words"); } get name() { throw new Error("no name"); } }


export async function fail(how) {
	await undefined;
	throw how === "nameless" ? new Nameless("lost") : new RangeError("too far");
}`;

let dir: string;
beforeAll(() => {
	dir = mkdtempSync(join(tmpdir(), "berth-bundle-"));
	writeFileSync(join(dir, "around.mjs"), AROUND);
	writeFileSync(join(dir, "inner.mjs"), INNER);
	const { status, stderr } = spawnSync(process.execPath, [BUNDLE, "main=around.mjs"], { cwd: dir, encoding: "utf8" });
	expect([status, stderr]).toEqual([0, ""]);
});
afterAll(() => rmSync(dir, { recursive: true }));

/** As a process of Berth's is started: with no flag. */
const run = (...args: readonly string[]) =>
	spawnSync(process.execPath, [join(dir, "dist/programs/main.js"), ...args], { encoding: "utf8", timeout: 15_000 });

const IN_SOURCE = `${"$"}DIR/inner.mjs:7:`;
const placed = (text: string) => text.replaceAll(dir, "$DIR");

test("a stack in what is bundled names the sources, line by line, across what was awaited", () => {
	const [head, first, second] = placed(run("caught").stdout).split("\n");
	expect(head).toBe("RangeError: too far");
	expect(first).toContain(`at fail (${IN_SOURCE}`);
	expect(second).toContain("at async $DIR/around.mjs:3:");
});

test("so does an error that nobody caught, which isn't shown with a line of all that was bundled", () => {
	const { status, stderr } = run("uncaught");
	expect(status).toBe(1);
	expect(placed(stderr)).toContain(`RangeError: too far\n    at fail (${IN_SOURCE}`);
	expect(Math.max(...stderr.split("\n").map(({ length }) => length))).toBeLessThan(1000);
});

test("an error whose own words throw has a stack all the same", () => {
	expect(placed(run("nameless").stdout)).toContain(`Error\n    at fail (${IN_SOURCE}`);
});

test("where a map can't be read the stack names the bundle, and nothing is lost", () => {
	rmSync(join(dir, "dist/programs/main.js.map"));
	expect(run("caught").stdout).toMatch(/^RangeError: too far\n {4}at fail \(file:.*\/dist\/programs\/main\.js:\d+:\d+\)/);
});

test("no program carries Zod's messages in other languages, more than the rest of it, which each start would read: `import { z }` brings them, `import * as z` doesn't", () => {
	const maps = globSync(join(ROOT, "packages/*/dist/programs/*.map"));
	const sources = maps.flatMap((map) => (JSON.parse(readFileSync(map, "utf8")) as { sources: string[] }).sources);
	const locales = sources.filter((source) => source.includes("zod/v4/locales/")).map((source) => source.split("/").at(-1));
	expect(new Set(locales)).toEqual(new Set(["en.js"]));
});
