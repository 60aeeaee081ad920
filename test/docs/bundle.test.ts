import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const BUNDLE = join(ROOT, "scripts/bundle.mjs");
const AROUND = `import { fail } from "./inner.mjs";
const how = process.argv[2];
if (how === "late") { console.log("runs"); for await (const _ of process.stdin); }
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
	build(INNER);
});
afterAll(() => rmSync(dir, { recursive: true }));

function build(inner: string): void {
	writeFileSync(join(dir, "inner.mjs"), inner);
	const { status, stderr } = spawnSync(process.execPath, [BUNDLE, "main=around.mjs"], { cwd: dir, encoding: "utf8" });
	expect([status, stderr]).toEqual([0, ""]);
}

/** As a process of Berth's is started: with no flag. */
const run = (...args: readonly string[]) =>
	spawnSync(process.execPath, [join(dir, "dist/programs/main.js"), ...args], { encoding: "utf8", timeout: 15_000 });

const IN_SOURCE = `${"$"}DIR/inner.mjs:7:`;
const placed = (text: string) => text.replaceAll(dir, "$DIR");

test("a stack in what is bundled names the sources, line by line, across what was awaited", () => {
	const [head, first, second] = placed(run("caught").stdout).split("\n");
	expect(head).toBe("RangeError: too far");
	expect(first).toContain(`at fail (${IN_SOURCE}`);
	expect(second).toContain("at async $DIR/around.mjs:4:");
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

test.each([
	["the same again: its maps are as good", INNER, IN_SOURCE],
	[
		"something else: the stack names the bundle that runs, not wrong lines",
		INNER.slice(INNER.indexOf("\n") + 1),
		"file://$DIR/dist/programs/main.js:",
	],
])("below a process that runs may be built %s", async (_, inner, place) => {
	const child = spawn(process.execPath, [join(dir, "dist/programs/main.js"), "late"], { stdio: ["pipe", "pipe", "inherit"] });
	onTestFinished(() => void child.kill());
	await once(child.stdout, "data");
	build(inner);
	child.stdin.end();
	expect(placed(await text(child.stdout))).toContain(`RangeError: too far\n    at fail (${place}`);
	build(INNER);
});

test("where a map can't be read the stack names the bundle, and nothing is lost", () => {
	rmSync(join(dir, "dist/programs/main.js.map"));
	expect(run("caught").stdout).toMatch(/^RangeError: too far\n {4}at fail \(file:.*\/dist\/programs\/main\.js:\d+:\d+\)/);
});

/** Of many places of a bundle that a map tells of, what Node's own reading of the map says, where ours says otherwise. */
const COMPARING = `
import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
const url = pathToFileURL(process.argv[2]).href;
const map = JSON.parse(readFileSync(process.argv[2] + ".map", "utf8"));
const ours = readFileSync(process.argv[1], "utf8").replace("no-build", map.debugId);
await import("data:text/javascript," + encodeURIComponent(ours));
const theirs = new SourceMap(map);
const lines = readFileSync(process.argv[2], "utf8").split("\\n").slice(0, map.mappings.split(";").length);
let compared = 0;
const wrong = lines.flatMap((text, line) => Array.from(text, (_, column) => {
	if (column % 29 !== 0) return [];
	const place = url + ":" + (line + 1) + ":" + (column + 1);
	const { originalSource, originalLine, originalColumn } = theirs.findEntry(line, column);
	const wanted = originalSource === undefined ? place : fileURLToPath(new URL(originalSource, url)) + ":" + (originalLine + 1) + ":" + (originalColumn + 1);
	const found = Error.prepareStackTrace(new Error(""), [place]).split("at ").at(-1);
	compared++;
	return found === wanted ? [] : [found + " for " + wanted];
}).flat());
console.log(JSON.stringify({ compared: compared > 1000, wrong: wrong.slice(0, 3) }));
`;

test("a place is found in the sources where Node finds it", () => {
	const [ours, program] = [join(ROOT, "scripts/bundled-stacks.mjs"), join(ROOT, "packages/launcher/dist/programs/main.js")];
	const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", COMPARING, "--", ours, program], {
		encoding: "utf8",
	});
	expect([stdout, stderr]).toEqual([`${JSON.stringify({ compared: true, wrong: [] })}\n`, ""]);
});

test("no program carries Zod's messages in other languages, more than the rest of it, which each start would read: `import { z }` brings them, `import * as z` doesn't", () => {
	const maps = globSync(join(ROOT, "packages/*/dist/programs/*.map"));
	const sources = maps.flatMap((map) => (JSON.parse(readFileSync(map, "utf8")) as { sources: string[] }).sources);
	const locales = sources.filter((source) => source.includes("zod/v4/locales/")).map((source) => source.split("/").at(-1));
	expect(new Set(locales)).toEqual(new Set(["en.js"]));
});
