import { expect, test } from "vitest";
import { Printed, tellingLines } from "./said-lines.js";

const AFTER = Array.from({ length: 20 }, (_, at) => `    at frame ${at}`);

test.each([
	["Node", "Error: spawnSync /tmp/packages/esbuild/bin/esbuild EACCES"],
	["Node, with a code", "TypeError [ERR_INVALID_ARG]: the argument is none"],
	["a compiler", "src/addon.cc:3:10: fatal error: node.h: No such file or directory"],
	["node-gyp", "gyp ERR! stack Error: not found: make"],
])("the line in which %s says what went wrong is kept, however much follows", (_what, line) => {
	const said = ["node:internal/errors:1091", "  const err = new Error(message);", line, ...AFTER];
	expect(tellingLines(said, 4)).toEqual([line, "…", ...AFTER.slice(-3)]);
});

test("lines that all fit are as they were, and of what says no error the last are kept", () => {
	expect(tellingLines(["a", "Error: b", "c"], 3)).toEqual(["a", "Error: b", "c"]);
	expect(tellingLines(["a", "b", "c", "d"], 2)).toEqual(["c", "d"]);
});

test("of a long line its end is kept, too: a list of versions has the newest there", () => {
	const versions = Array.from({ length: 200 }, (_, at) => `2.${at}.0`).join(", ");
	const [line = ""] = tellingLines([`no version fits (from versions: ${versions})`], 1);
	expect(line).toMatch(/^no version fits \(from versions: 2\.0\.0, .* … .*, 2\.199\.0\)$/);
	expect(line.length).toBeLessThan(320);
});

test("of what a program prints without end, the beginning and the end are held", () => {
	const printed = new Printed();
	printed.add("Error: at first\n");
	for (let at = 0; at < 100; at++) printed.add(`${"x".repeat(99)}\n`.repeat(100));
	printed.add("the last\n");
	expect(printed.lines[0]).toBe("Error: at first");
	expect(printed.lines.at(-1)).toBe("the last");
	expect(printed.lines.join("\n").length).toBeLessThan(300 * 1024);
});
