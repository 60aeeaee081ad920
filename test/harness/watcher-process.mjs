// Ends a server of a test's when the test has ended without doing so itself: `node watcher-process.mjs PID DIRECTORY`. Whoever
// started that holds the other end of its stdin; what it keeps is in that directory.
import { readFileSync, rmSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

const LOOK_MS = 50;
const PATIENCE_MS = 10_000;

const [, , id, directory] = process.argv;
const pid = Number(id);
const startedAt = startOf(pid);
process.stdin.resume();
process.stdin.once("end", async () => {
	const until = performance.now() + PATIENCE_MS;
	for (const signal of ["SIGCONT", "SIGTERM"]) send(signal);
	while (isThere() && performance.now() < until) await wait(LOOK_MS);
	send("SIGKILL");
	while (isThere()) await wait(LOOK_MS);
	rmSync(directory, { recursive: true, force: true });
});

/** Another process of that id isn't the one. */
function isThere() {
	return startedAt !== undefined && startOf(pid) === startedAt;
}

function send(signal) {
	if (isThere()) process.kill(pid, signal);
}

/** When a process was started, as /proc/PID/stat has it behind its name (field 22); undefined when it isn't there, or has ended. */
function startOf(pid) {
	try {
		const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
		return fields[0] === "Z" ? undefined : fields[19];
	} catch {
		return undefined;
	}
}
