import { readFile } from "node:fs/promises";
import { isMissing } from "../system-errors.js";
import { APPARMOR } from "./apparmor.js";
import type { Check } from "./check.js";

/** One limit of a sandbox, and what of this machine enforces it. */
export interface Enforced {
	/** Short and fixed: programs look it up. */
	readonly limit: string;
	/** What does it here; why nothing does. */
	readonly by: string;
	readonly isEnforced: boolean;
}

/** What each limit depends on: a check's name, and what it is enforced by where that check found all well. */
const LIMITS: readonly (readonly [limit: string, check: string, by: (v2: boolean) => string])[] = [
	["memory", "cgroups", (v2) => `cgroup controller memory: ${v2 ? "memory.max, memory.oom.group" : "memory.limit_in_bytes"}`],
	[
		"swap",
		"swap accounting",
		(v2) => `cgroup controller memory: ${v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes"}, where the machine swaps`,
	],
	["CPU", "cgroups", (v2) => `cgroup controller cpu: ${v2 ? "cpu.max, cpu.weight" : "cpu.cfs_quota_us, cpu.shares"}`],
	["tasks", "cgroups", () => "cgroup controller pids: pids.max"],
	["devices", "cgroups", (v2) => (v2 ? "a BPF program of the cgroup's" : "cgroup controller devices")],
	["/tmp", "overlayfs", () => "tmpfs: size and nr_inodes, charged to memory"],
	["files, core dumps, locked memory, signals, stack", "OCI runtime", () => "rlimits"],
	["system calls", "seccomp", () => "a seccomp filter of ours, default refused (infra/seccomp/berth.json)"],
	["users", "namespaces", () => "a user namespace each: 65,536 ids of its own, host root not among them"],
	["processes, mounts, ipc, host name, network, cgroups", "namespaces", () => "pid, mount, ipc, uts, network and cgroup namespaces"],
	["privileges", "OCI runtime", () => "no capability in any set, no_new_privs"],
	["root file system", "overlayfs", () => "overlayfs, read-only, nosuid, nodev"],
	["other users' processes", "namespaces", () => "/proc with hidepid=2, masked and read-only paths"],
];

/** By what has been found: what isn't well, or is done without, isn't enforced. */
export async function whatIsEnforced(checks: readonly Check[], lsmFile = "/sys/kernel/security/lsm"): Promise<readonly Enforced[]> {
	const by = new Map(checks.map((check) => [check.name, check]));
	const isV2 = /^(?:INSECURE: )?cgroup v2/.test(by.get("cgroups")?.found ?? "");
	const runtime = by.get("OCI runtime");
	return [
		...LIMITS.flatMap(([limit, name, how]): readonly Enforced[] => {
			const check = by.get(name);
			// Not looked at: this isn't root.
			if (check === undefined) return [];
			if (isLacking(limit, check)) return [{ limit, by: check.found.replace(/^INSECURE: /, ""), isEnforced: false }];
			return [{ limit, by: how(isV2), isEnforced: true }];
		}),
		...(runtime?.status === "ok" ? [{ limit: "all of it, at each boot", by: runtime.found, isEnforced: true }] : []),
		await mandatoryAccess(by.get(APPARMOR), lsmFile),
	];
}

/** Of a cgroup that lacks pids, and an operator who does without, everything else is enforced. */
function isLacking(limit: string, { name, status, found }: Check): boolean {
	if (status === "failed") return true;
	if (!found.startsWith("INSECURE: ")) return false;
	return name !== "cgroups" || limit === "tasks";
}

/** Nothing of ours depends on one: what there is holds beside. @param profile what was found of the one that sandboxes are to have */
async function mandatoryAccess(profile: Check | undefined, path: string): Promise<Enforced> {
	const limit = "mandatory access control";
	if (profile !== undefined) return { limit, by: `${APPARMOR}: ${profile.found}`, isEnforced: profile.status === "ok" };
	try {
		const modules = (await readFile(path, "utf8")).trim().split(",");
		const found = modules.filter((name) => ["apparmor", "selinux", "smack", "tomoyo"].includes(name));
		if (found.length > 0)
			return {
				limit,
				by: `${found.join(", ")}, as this machine has it; sandboxes have no profile of their own (BERTH_APPARMOR_PROFILE)`,
				isEnforced: true,
			};
	} catch (error) {
		if (!isMissing(error)) throw error;
	}
	return { limit, by: "none: this kernel has no AppArmor or SELinux running, and nothing depends on one", isEnforced: true };
}
