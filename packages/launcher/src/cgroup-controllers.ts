import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HostError } from "./host-error.js";

/** Without one of these a limit couldn't be enforced. */
export const CONTROLLERS_V2 = ["memory", "cpu"] as const;
/** Without this one, too, unless the operator does without the limit. */
export const TASKS_CONTROLLER = "pids";

/** Without this one sandboxes have all CPUs at all times. */
const CPUS_CONTROLLER = "cpuset";

/** Where processes go that stand in the way; they stay there. */
const ASIDE = "berth-aside";
/** A process may be started while the others are moved. */
const ROUNDS = 10;

/** What to do about a controller that can't be handed down, by the kernel's reason. */
const MENDS: Readonly<Record<string, string>> = {
	EBUSY:
		"processes from outside of this container are in its cgroup: run Berth on the host, or in a container with a pid namespace of its own",
	EINVAL: "real-time processes outside of the root cgroup keep the cpu controller: end them, or take a kernel without RT_GROUP_SCHED",
	EROFS: "cgroups are mounted read-only: run Berth on the host, or in a privileged container",
	EACCES: "cgroups can't be written: run Berth as root of the host, or in a privileged container",
	ENOENT: "the controller isn't delegated here: Delegate=yes in the unit, or a container with a cgroup of its own",
};

/**
 * cgroup v2: controllers reach a child only when each parent hands them down. The host's root may do
 * so at any time (systemd's never takes back what a child of ours hands down itself). What a container
 * sees as its root is an ordinary cgroup, which can't while processes are in it (cgroups(7), "no
 * internal processes"): they are moved aside first, into a child.
 * @throws HostError with what is in the way
 */
export function handDownControllers(root: string, own: string, capsTasks = true): void {
	const controllers = [...CONTROLLERS_V2, ...(capsTasks ? [TASKS_CONTROLLER] : [])];
	try {
		makeDirectory(own);
		if (isNestedRoot(root)) moveAside(root);
		for (const directory of [root, own]) write(directory, controllers);
	} catch (error) {
		const { code = "", message } = error as NodeJS.ErrnoException;
		throw new HostError(`cgroup v2 controllers can't be handed down in ${root} (${code}): ${MENDS[code] ?? message}`);
	}
	handDownCpus([root, own]);
}

/** At the root first: below it there is what that has handed down. */
function handDownCpus(directories: readonly string[]): void {
	for (const directory of directories) {
		const there = join(directory, "cgroup.controllers");
		if (!existsSync(there) || !readFileSync(there, "utf8").split(/\s+/).includes(CPUS_CONTROLLER)) return;
		try {
			write(directory, [CPUS_CONTROLLER]);
		} catch {
			// Whatever keeps it: it is only that no CPU is spared then.
			return;
		}
	}
}

function write(directory: string, controllers: readonly string[]): void {
	writeFileSync(join(directory, "cgroup.subtree_control"), controllers.map((name) => `+${name}`).join(" "));
}

/** Not recursively: then Node says ENOENT for whatever the reason is. */
function makeDirectory(path: string): void {
	try {
		mkdirSync(path);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
	}
}

/**
 * What a cgroup of our own has to have beside its controllers. @param own ours, with controllers handed down. @param mayLackSwap whether
 * the operator does without its limit of swap. @returns whether swap is limited, where there is any. @throws HostError with what the kernel lacks
 */
export function requireFilesV2(own: string, mayLackSwap = false): boolean {
	if (!existsSync(join(own, "cgroup.freeze"))) throw new HostError("this kernel can't freeze cgroups of v2: Linux 5.2 or newer does");
	try {
		requireSwapCounted(join(own, "memory.swap.max"));
		return true;
	} catch (error) {
		if (mayLackSwap && error instanceof HostError) return false;
		throw error;
	}
}

/** @param file which limits swap in a cgroup. @param meminfo of this host (proc_meminfo(5)). @throws HostError when it swaps, and there is no such file */
export function requireSwapCounted(file: string, meminfo = readFileSync("/proc/meminfo", "utf8")): void {
	const swap = Number(/^SwapTotal:\s+(\d+)/m.exec(meminfo)?.[1] ?? 0);
	if (swap > 0 && !existsSync(file))
		throw new HostError(
			"this host swaps, but its kernel doesn't count swap per cgroup: boot with swapaccount=1, or turn swap off; or start with --insecure-allow=swap, should you trust every function",
		);
}

/** Only the host's own root has no type. */
function isNestedRoot(root: string): boolean {
	return existsSync(join(root, "cgroup.type"));
}

function moveAside(root: string): void {
	for (let round = 0; round < ROUNDS; round++) {
		const pids = processesIn(root);
		if (pids.length === 0) return;
		mkdirSync(join(root, ASIDE), { recursive: true });
		for (const pid of pids) move(pid, join(root, ASIDE));
	}
}

/** 0 stands for one that isn't of our pid namespace; written, it would mean ourselves. */
function processesIn(directory: string): readonly string[] {
	const pids = readFileSync(join(directory, "cgroup.procs"), "utf8").split("\n");
	return pids.filter((pid) => pid !== "" && pid !== "0");
}

function move(pid: string, to: string): void {
	try {
		writeFileSync(join(to, "cgroup.procs"), pid);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}
