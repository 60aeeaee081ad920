import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { GATEWAY_DRAIN_MOST_MS } from "@berth/config";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { capabilitiesOfUnit, UNITS, unitFor } from "../harness/systemd-unit.js";
import { ROOT } from "./pages.js";

/** What systemd-analyze adds up, of 100: a unit without any hardening has 96, and what remains is what the unit's comments give a reason for. */
const MOST_EXPOSED = 55;
/** The same of a gateway alone, which needs nothing of root's: it serves, and V8 compiles. */
const MOST_EXPOSED_GATEWAY = 13;

let directory: string;
let unit: string;
beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "berth-units-"));
	unit = join(directory, "berth.service");
	writeFileSync(unit, unitFor(ROOT));
	copyFileSync(join(UNITS, "berth.slice"), join(directory, "berth.slice"));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function analyze(...args: readonly string[]): Promise<string> {
	const { stdout, stderr } = await promisify(execFile)("systemd-analyze", [...args, "--no-pager"]).catch((error: unknown) => {
		throw new Error(`${(error as { stdout: string }).stdout}${(error as { stderr: string }).stderr}`);
	});
	return stdout + stderr;
}

test.each(readdirSync(UNITS).filter((name) => name.endsWith(".service")))("what %s runs is there, as the build makes it", (name) => {
	const commands = [...readFileSync(join(UNITS, name), "utf8").matchAll(/^Exec\w+=(.+)$/gm)].map(([, command = ""]) => command.split(" "));
	const ours = commands.flat().filter((word) => word.startsWith("/opt/berth/"));
	expect(ours.length).toBeGreaterThan(1);
	for (const path of ours) expect(existsSync(path.replace("/opt/berth", ROOT)), path).toBe(true);
	// Of a package its programs alone: the modules that they are made of are loaded by the hundred.
	for (const path of ours.filter((path) => path.includes("/dist/"))) expect(path).toMatch(/\/dist\/programs\/main\.js$/);
});

describe("the unit of a gateway alone", () => {
	test("is one that systemd reads without a complaint, and leaves little to expose", async () => {
		const gateway = join(directory, "berth-gateway.service");
		const place = ROOT.replace(/\/$/, "");
		writeFileSync(gateway, readFileSync(join(UNITS, "berth-gateway.service"), "utf8").replaceAll("/opt/berth", place));
		expect(await analyze("verify", "--man=no", gateway)).toBe("");
		await analyze("security", "--offline=yes", `--threshold=${MOST_EXPOSED_GATEWAY}`, gateway);
	});
});

describe("the unit of systemd", () => {
	test("is one that systemd reads without a complaint", async () => {
		expect(await analyze("verify", "--man=no", unit, join(directory, "berth.slice"))).toBe("");
	});

	test("is no more exposed than what its comments give reasons for", async () => {
		await analyze("security", "--offline=yes", `--threshold=${MOST_EXPOSED}`, unit);
		const bare = join(directory, "bare.service");
		writeFileSync(bare, "[Service]\nExecStart=/bin/true\n");
		await expect(analyze("security", "--offline=yes", `--threshold=${MOST_EXPOSED}`, bare)).rejects.toThrow("UNSAFE");
	});

	test("leaves the supervisor the capabilities that it hands on, and the one that takes them away", async () => {
		const source = readFileSync(join(ROOT, "packages/cli/src/supervisor/confinement.ts"), "utf8");
		const handedOn = [...source.matchAll(/^\t([a-z_]+): "/gm)].map(([, name]) => name as string);
		expect(handedOn.length).toBeGreaterThan(9);
		expect(new Set(capabilitiesOfUnit())).toEqual(new Set([...handedOn, "setpcap"]));
	});

	test("waits longer for the end of the stack than its processes may take, one after the other", () => {
		const source = readFileSync(join(ROOT, "packages/cli/src/supervisor/programs.ts"), "utf8");
		const secondsOf = (name: string) => Number(new RegExp(`const ${name} = (\\d+) \\* SECOND_MS`).exec(source)?.[1]);
		const graces = 2 * secondsOf("DRAIN_MS") + 3 * secondsOf("STOP_MS") + GATEWAY_DRAIN_MOST_MS / 1000;
		expect(graces).toBeGreaterThan(60);
		expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unitFor(ROOT))?.[1])).toBeGreaterThan(graces);
	});
});
