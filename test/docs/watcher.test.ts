import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const WATCHER = fileURLToPath(new URL("../harness/watcher.ts", import.meta.url));
/** A run that starts a server which doesn't end by itself, says its id, and goes on. */
const RUN = `
	import { spawn } from "node:child_process";
	import { watchOver } from ${JSON.stringify(WATCHER)};
	const server = spawn("sleep", ["600"], { stdio: "ignore" });
	watchOver(server, process.argv[1]);
	console.log(server.pid);
	setInterval(() => undefined, 1000);
`;

test("a run that is killed leaves no server that it started, nor what that kept", async () => {
	const directory = mkdtempSync(join(tmpdir(), "watched-"));
	const run = spawn(process.execPath, ["--input-type=module", "-e", RUN, directory], { stdio: ["ignore", "pipe", "inherit"] });
	const [said] = (await once(run.stdout, "data")) as [Buffer];
	// What has ended may stay listed until somebody asks how, and has no program any more.
	const server = join("/proc", String(said).trim(), "exe");
	expect(existsSync(server)).toBe(true);
	run.kill("SIGKILL");
	await expect.poll(() => existsSync(directory), { timeout: 15_000 }).toBe(false);
	expect(existsSync(server)).toBe(false);
});
