import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { WaivableLimit } from "@berth/contracts";
import { HostError } from "./host-error.js";

/** Where the kernel shows what it can do. */
export interface KernelFiles {
	readonly cgroups: string;
	readonly meminfo: string;
	/** The actions that its filter of system calls knows (seccomp(2)). */
	readonly filterActions: string;
}

export const KERNEL_FILES: KernelFiles = {
	cgroups: "/sys/fs/cgroup",
	meminfo: "/proc/meminfo",
	filterActions: "/proc/sys/kernel/seccomp/actions_avail",
};

/** What a limit keeps a function from, why this host can't enforce it, and what to do about it. */
interface Lack {
	readonly found: string;
	readonly keepsFrom: string;
	readonly mend: string;
}

/**
 * The limits that this host can't enforce, all of which its operator has done without.
 * @param allowed those that may be lacking @throws HostError naming the first that may not
 */
export function unenforceable(cgroupVersion: 1 | 2, allowed: readonly WaivableLimit[], files: KernelFiles): readonly WaivableLimit[] {
	const lacks = { swap: lackOfSwap(cgroupVersion, files), pids: lackOfPids(cgroupVersion, files), seccomp: lackOfSeccomp(files) };
	const lacking = Object.entries(lacks).filter((pair): pair is [WaivableLimit, Lack] => pair[1] !== undefined);
	for (const [limit, { found, keepsFrom, mend }] of lacking) {
		if (!allowed.includes(limit))
			throw new HostError(
				`${found}: the limit ${limit}, which keeps a function from ${keepsFrom}, couldn't be enforced. ${mend}; or start with --insecure-allow=${limit}, should you trust every function`,
			);
	}
	return lacking.map(([limit]) => limit);
}

function lackOfSwap(cgroupVersion: 1 | 2, { cgroups, meminfo }: KernelFiles): Lack | undefined {
	const swapKib = Number(/^SwapTotal:\s+(\d+)/m.exec(readFileSync(meminfo, "utf8"))?.[1] ?? 0);
	if (cgroupVersion === 2 || swapKib === 0 || existsSync(join(cgroups, "memory", "memory.memsw.limit_in_bytes"))) return undefined;
	return {
		found: "this host swaps, but its kernel doesn't count swap per cgroup",
		keepsFrom: "going on in swap beyond its memory",
		mend: "Boot with swapaccount=1, or turn swap off (swapoff -a)",
	};
}

function lackOfPids(cgroupVersion: 1 | 2, { cgroups }: KernelFiles): Lack | undefined {
	const there =
		cgroupVersion === 2
			? readFileSync(join(cgroups, "cgroup.controllers"), "utf8").trim().split(" ").includes("pids")
			: existsSync(join(cgroups, "pids", "cgroup.procs"));
	if (there) return undefined;
	return {
		found: `cgroup v${cgroupVersion} lacks the controller pids`,
		keepsFrom: "starting processes until nobody on this machine can",
		mend: cgroupVersion === 2 ? "Delegate it, or take a kernel with CONFIG_CGROUP_PIDS" : "Mount it at /sys/fs/cgroup/pids",
	};
}

function lackOfSeccomp({ filterActions }: KernelFiles): Lack | undefined {
	const actions = existsSync(filterActions) ? readFileSync(filterActions, "utf8").trim().split(" ") : [];
	if (["errno", "allow"].every((action) => actions.includes(action))) return undefined;
	return {
		found: "this kernel filters no system calls",
		keepsFrom: "most of the kernel's holes",
		mend: "Take a kernel with CONFIG_SECCOMP_FILTER, as every distribution's is",
	};
}
