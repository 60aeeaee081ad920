import { readdirSync, readFileSync } from "node:fs";
import { reap } from "./syscalls.js";

const TASKS = "/proc/self/task";

/**
 * Reaps children that nobody waits for. An OCI runtime forks helpers of its own; when it ends they
 * become ours, since we are a subreaper, and would stay as zombies for good.
 * @param isAwaited whether somebody else learns of this child's end
 */
export function reapStrays(isAwaited: (pid: number) => boolean): void {
	for (const pid of children()) if (!isAwaited(pid)) reap(pid);
}

/** Pids of this process's children, of whichever thread (proc_pid_task(5)). */
function children(): readonly number[] {
	return readdirSync(TASKS)
		.flatMap((task) => readFileSync(`${TASKS}/${task}/children`, "latin1").split(" "))
		.filter((pid) => pid !== "")
		.map(Number);
}
