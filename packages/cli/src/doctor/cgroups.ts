import { access, constants, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { WaivableLimit } from "@berth/contracts";
import { isMissing } from "../system-errors.js";
import { type Check, failed, ok, orWithout, warning } from "./check.js";

/** Without one of these a limit couldn't be enforced. */
const NEEDED = { v1: ["memory", "cpu", "cpuacct", "freezer", "devices", "pids"], v2: ["memory", "cpu", "pids"] } as const;
/** The one of them that an operator can do without. */
const WAIVABLE = "pids";

/** Where the kernel shows what is looked at. */
export interface KernelFiles {
	readonly cgroups: string;
	readonly meminfo: string;
}

const KERNEL_FILES: KernelFiles = { cgroups: "/sys/fs/cgroup", meminfo: "/proc/meminfo" };

type Mode = "v1" | "v2" | "hybrid";

/** Mode and controllers, whether they can be written, and whether swap is counted. */
export async function checkCgroups(allowed: readonly WaivableLimit[], files: KernelFiles = KERNEL_FILES): Promise<readonly Check[]> {
	const mode = await modeOf(files.cgroups);
	if (mode === undefined) {
		return [
			failed("cgroups", `No cgroups are mounted at ${files.cgroups}.`, "mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd."),
		];
	}
	return [await controllers(files.cgroups, mode, allowed), await swap(files, mode, allowed)];
}

async function modeOf(root: string): Promise<Mode | undefined> {
	if (await exists(join(root, "cgroup.controllers"))) return "v2";
	if (!(await exists(join(root, "memory")))) return undefined;
	return (await exists(join(root, "unified", "cgroup.procs"))) ? "hybrid" : "v1";
}

async function controllers(root: string, mode: Mode, allowed: readonly WaivableLimit[]): Promise<Check> {
	const needed = mode === "v2" ? NEEDED.v2 : NEEDED.v1;
	const present = mode === "v2" ? await listed(join(root, "cgroup.controllers")) : await mounted(root, needed);
	const missing = needed.filter((name) => !present.includes(name));
	const nested = mode === "v2" && (await exists(join(root, "cgroup.type")));
	const isWaivable = missing.every((name) => name === WAIVABLE);
	const mendsMissing = missing.length === 0 ? "" : mendOf(missing, nested);
	if (missing.length > 0 && !isWaivable)
		return failed("cgroups", `cgroup ${mode} lacks ${missing.join(", ")}: limits couldn't be enforced.`, mendsMissing);
	if (missing.length > 0 && !allowed.includes(WAIVABLE))
		return failed(
			"cgroups",
			`cgroup ${mode} lacks pids: a function could start processes until nobody can.`,
			orWithout(WAIVABLE, mendsMissing),
		);
	const place = mode === "v2" ? root : join(root, "memory");
	if (!(await exists(place, constants.W_OK)))
		return failed(
			"cgroups",
			`cgroup ${mode} can't be written in ${place}.`,
			"Be root, and mount it read-write (in a container: run it privileged).",
		);
	if (nested && (await listed(join(root, "cgroup.procs"), "\n")).includes("0"))
		return failed(
			"cgroups",
			`Processes from outside of this container are in its cgroup, ${root}: its controllers can't be handed down.`,
			"Run Berth on the host, or in a container with a pid namespace of its own.",
		);
	if (missing.length > 0)
		return warning(
			"cgroups",
			`INSECURE: cgroup ${mode} lacks pids, and functions' processes aren't counted, as --insecure-allow=pids has it.`,
			mendsMissing,
		);
	return ok("cgroups", `cgroup ${mode} with ${needed.join(", ")}${nested ? ", inside a container" : ""}.`);
}

/** What a container sees as the root has the controllers that its host hands down. */
function mendOf(missing: readonly string[], nested: boolean): string {
	if (nested) return "Delegate them to this container: privileged, with a cgroup namespace of its own.";
	if (missing.every((name) => name === WAIVABLE)) return "mount -t cgroup -o pids none /sys/fs/cgroup/pids, or take a kernel that has it.";
	return missing.includes("memory")
		? "Boot with cgroup_enable=memory on the kernel's command line."
		: "Take a kernel with these controllers.";
}

async function listed(path: string, separator = " "): Promise<readonly string[]> {
	return (await readFile(path, "utf8")).trim().split(separator);
}

async function mounted(root: string, names: readonly string[]): Promise<readonly string[]> {
	const found = await Promise.all(names.map((name) => exists(join(root, name, "cgroup.procs"))));
	return names.filter((_, index) => found[index]);
}

/** A limit of memory alone would let a function go on in swap. */
async function swap({ cgroups, meminfo }: KernelFiles, mode: Mode, allowed: readonly WaivableLimit[]): Promise<Check> {
	const totalKib = Number(/^SwapTotal:\s+(\d+)/m.exec(await readFile(meminfo, "utf8"))?.[1] ?? 0);
	if (totalKib === 0) return ok("swap accounting", "This machine has no swap.");
	const mend = "Boot with swapaccount=1, or turn swap off: swapoff -a.";
	if (mode === "v2") return ok("swap accounting", "Swap is limited per cgroup.");
	if (await exists(join(cgroups, "memory", "memory.memsw.limit_in_bytes"))) {
		return warning(
			"swap accounting",
			"Swap is counted per cgroup; what is swapped out is slow.",
			"swapoff -a, unless the machine needs it.",
		);
	}
	if (allowed.includes("swap"))
		return warning("swap accounting", "INSECURE: swap isn't counted per cgroup, and not limited, as --insecure-allow=swap has it.", mend);
	return failed("swap accounting", "This machine swaps, and its kernel doesn't count swap per cgroup.", orWithout("swap", mend));
}

async function exists(path: string, mode?: number): Promise<boolean> {
	try {
		await access(path, mode);
		return true;
	} catch (error) {
		if (isMissing(error) || mode !== undefined) return false;
		throw error;
	}
}
