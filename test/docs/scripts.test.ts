import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
let checkout: string;
beforeAll(() => {
	checkout = mkdtempSync(join(tmpdir(), "berth-scripts-"));
	cpSync(join(ROOT, "scripts"), join(checkout, "scripts"), { recursive: true });
});
afterAll(() => rmSync(checkout, { recursive: true }));

/** As npm runs it in a checkout with nothing installed. */
function bootstrap(...args: readonly string[]) {
	return spawnSync(process.execPath, [join(checkout, "scripts/bootstrap.mjs"), ...args], { cwd: checkout, encoding: "utf8" });
}

const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: Record<string, string> };
const verbs = Object.values(scripts).flatMap((command) => /bootstrap\.mjs (\S+)/.exec(command)?.[1] ?? []);

test.each(verbs)("`%s -- --help` says how it is used, within 80 columns, and sets nothing up", (verb) => {
	const { status, stdout } = bootstrap(verb, "--help");
	expect([status, stdout]).toEqual([0, expect.stringMatching(/^Usage: npm (?:run )?[a-z:]+/)]);
	expect(Math.max(...stdout.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(80);
	expect(readdirSync(checkout)).toEqual(["scripts"]);
});

test.each([
	["setup", "--once"],
	["quickstart", "--onec"],
	["quickstart", "--port"],
	["quickstart", "--port", "99999"],
	["bench", "quick"],
	["test:weakened", "seccomp"],
])("`%s %s %s` is refused before anything is installed", (...args) => {
	const { status, stdout, stderr } = bootstrap(...args.filter((arg) => arg !== undefined));
	expect([status, stdout, stderr]).toEqual([2, "", expect.stringContaining("Usage: npm run")]);
});
