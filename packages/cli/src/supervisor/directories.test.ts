import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings } from "@berth/config";
import { afterEach, beforeEach, expect, test } from "vitest";
import { prepareDirectories } from "./directories.js";

/** Nobody in particular: neither root nor the service user. */
const STRANGER = { uid: 4_242_424, gid: 4_242_424 };

let directory: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-directories-"));
	await chmod(directory, 0o755);
});
afterEach(() => rm(directory, { recursive: true }));

/** As an ordinary user of this host. @returns what the program says of its failure; empty when it doesn't fail */
function failureOf(program: string, ...args: readonly string[]): string {
	try {
		execFileSync(program, args, { ...STRANGER, cwd: "/", stdio: ["ignore", "ignore", "pipe"] });
		return "";
	} catch (error) {
		return String((error as { readonly stderr?: Buffer }).stderr);
	}
}

test.each([
	["oci", /Permission denied/],
	["docker", /^$/],
] as const)("agents' sockets, engine %s: a rootless Docker Engine finds one by its name, and nobody lists them", async (engine, found) => {
	const settings = loadSettings({ BERTH_DATA_DIR: join(directory, "data"), BERTH_ENGINE: engine });
	await prepareDirectories(settings);
	const socket = join(settings.paths.agentSockets, "sb_1.sock");
	await writeFile(socket, "");
	expect(failureOf("stat", socket)).toMatch(found);
	expect(failureOf("ls", settings.paths.agentSockets)).toMatch(/Permission denied/);
	expect(failureOf("touch", `${socket}2`)).toMatch(/Permission denied/);
});
