// Ends a test's stack when the test has ended without doing so itself: `node reaper-process.mjs CLI`. Its stdin has the
// stack's data directory; the test, and whatever command of its starts the stack, hold the other end of that pipe open.
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { text } from "node:stream/consumers";

const cli = process.argv[2];
const dataDir = await text(process.stdin);
if (existsSync(dataDir)) {
	execFileSync(process.execPath, [cli, "--data", dataDir, "down", "--json"], { stdio: "ignore" });
	rmSync(dataDir, { recursive: true, force: true });
}
