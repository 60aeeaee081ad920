// Ends a test's stack when the test has ended without doing so itself: `node reaper-process.mjs CLI`. Its stdin has the
// stack's data directory; the test, and whatever command of its starts the stack, hold the other end of that pipe open.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { text } from "node:stream/consumers";

const cli = process.argv[2];
const dataDir = await text(process.stdin);
if (existsSync(dataDir)) {
	try {
		execFileSync(process.execPath, [cli, "--data", dataDir, "down", "--json"], { stdio: "ignore" });
		rmSync(dataDir, { recursive: true, force: true });
	} finally {
		removeBridges();
	}
}

/** A Docker Engine that was killed with the test leaves those of the stack's networks, and nobody can ask it to remove them. */
function removeBridges() {
	const prefix = `bh${createHash("sha256").update(dataDir).digest("hex").slice(0, 8)}`;
	for (const name of readdirSync("/sys/class/net"))
		if (name.startsWith(prefix)) execFileSync("ip", ["link", "delete", name], { stdio: "ignore" });
}
