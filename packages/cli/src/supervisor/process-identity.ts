import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { isMissing } from "../system-errors.js";

/** A process beyond doubt: a pid is used again after its process is gone, and after a restart of the machine. */
export interface ProcessIdentity {
	readonly pid: number;
	/** Clock ticks from the machine's start to the process's (proc_pid_stat(5), field 22). */
	readonly startTicks: number;
	/** The machine's start, as the kernel names it. */
	readonly bootId: string;
}

const LOOK_MS = 20;

/** Who has this pid now; undefined when nobody has, or only a zombie. */
export async function identityOf(pid: number): Promise<ProcessIdentity | undefined> {
	const fields = await fieldsOf(pid);
	if (fields === undefined || fields[0] === "Z" || fields[0] === "X") return undefined;
	const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
	return { pid, startTicks: Number(fields[19]), bootId };
}

/** What the kernel says of a pid from its state on (proc_pid_stat(5), field 3). */
async function fieldsOf(pid: number): Promise<readonly string[] | undefined> {
	try {
		const stat = await readFile(`/proc/${pid}/stat`, "utf8");
		// The second field is the program's name in parentheses, which may hold anything.
		return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw error;
	}
}

/** Whether a signal, or a debugger, keeps it from going on. */
export async function isStopped({ pid }: ProcessIdentity): Promise<boolean> {
	const [state] = (await fieldsOf(pid)) ?? [];
	return state === "T" || state === "t";
}

/** Whether this very process still runs. */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
	const now = await identityOf(identity.pid);
	return now !== undefined && now.startTicks === identity.startTicks && now.bootId === identity.bootId;
}

/** Sends a signal to this very process, if it still runs. */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<void> {
	if (!(await isRunning(identity))) return;
	try {
		process.kill(identity.pid, signal);
	} catch (error) {
		if (!isMissing(error)) throw error;
	}
}

/**
 * Waits until none of the processes runs. The kernel tells only a parent of an end, and these aren't our
 * children, so it looks every 20 ms.
 * @returns those that still run after `timeoutMs`
 */
export async function waitUntilGone<T extends ProcessIdentity>(processes: readonly T[], timeoutMs: number): Promise<readonly T[]> {
	const until = performance.now() + timeoutMs;
	let left = await running(processes);
	while (left.length > 0 && performance.now() < until) {
		await pause(LOOK_MS);
		left = await running(left);
	}
	return left;
}

async function running<T extends ProcessIdentity>(processes: readonly T[]): Promise<readonly T[]> {
	const checked = await Promise.all(processes.map(isRunning));
	return processes.filter((_, index) => checked[index]);
}
