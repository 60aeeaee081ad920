import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import type { HostReport } from "@berth/contracts";
import { CONTROLLERS_V2, requireSwapCounted } from "./cgroup-controllers.js";
import { findExecutable } from "./executables.js";
import { HostError } from "./host-error.js";
import { unmount } from "./syscalls.js";

const CGROUP_ROOT = "/sys/fs/cgroup";
const CONTROLLERS_V1 = ["memory", "cpu", "cpuacct", "pids", "freezer"] as const;
const RUNTIMES = ["crun", "runc"] as const;

/** What the probe found, for the launcher itself. */
export interface Host extends Omit<HostReport, "networks" | "storage" | "runtimeClasses"> {
	readonly ociRuntimePath: string;
	readonly cgroupVersion: 1 | 2;
	readonly arch: "x64" | "arm64";
}

/**
 * Probes cgroups and OCI runtime. Everything is found out here, once, so that a sandbox never starts
 * with a limit missing. @throws HostError with what is missing and how to mend it
 */
export function probeHost(wantedRuntime: string): Host {
	if (process.arch !== "x64" && process.arch !== "arm64")
		throw new HostError(`this processor (${process.arch}) isn't supported: x64 and arm64 are`);
	requirePrivateMounts();
	const cgroups = cgroupMode();
	requireControllers(cgroups);
	const ociRuntimePath = findRuntime(wantedRuntime);
	const version = execFileSync(ociRuntimePath, ["--version"], { encoding: "utf8" });
	// The runtime spec's version, which each of them says.
	if (!/^\s*(?:oci )?specs?: /im.test(version))
		throw new HostError(`${ociRuntimePath} is no OCI runtime: asked for its version, it doesn't say which runtime-spec it follows`);
	// crun refuses a hybrid host; in our own mount namespace it needn't see that it is one.
	if (cgroups === "hybrid") unmount(`${CGROUP_ROOT}/unified`);
	return {
		cgroups,
		cgroupVersion: cgroups === "v2" ? 2 : 1,
		ociRuntime: ociRuntimePath.slice(ociRuntimePath.lastIndexOf("/") + 1),
		ociRuntimePath,
		ociRuntimeVersion: /version:? (\S+)/.exec(version)?.[1] ?? "unknown",
		arch: process.arch,
	};
}

/** Our mounts must die with us and be seen by nobody else. */
function requirePrivateMounts(): void {
	if (readlinkSync("/proc/self/ns/mnt") === readlinkSync(`/proc/${process.ppid}/ns/mnt`)) {
		throw new HostError("start the launcher in a mount namespace of its own: unshare -m --propagation private -- node main.js");
	}
}

function cgroupMode(): HostReport["cgroups"] {
	if (existsSync(`${CGROUP_ROOT}/cgroup.controllers`)) return "v2";
	if (!existsSync(`${CGROUP_ROOT}/memory`))
		throw new HostError("no cgroups are mounted at /sys/fs/cgroup: mount cgroup2 there, or boot with systemd");
	return existsSync(`${CGROUP_ROOT}/unified/cgroup.procs`) ? "hybrid" : "v1";
}

function requireControllers(mode: HostReport["cgroups"]): void {
	if (mode === "v2") {
		const present = readFileSync(`${CGROUP_ROOT}/cgroup.controllers`, "utf8").trim().split(" ");
		const missing = CONTROLLERS_V2.filter((name) => !present.includes(name));
		if (missing.length > 0) throw new HostError(`cgroup v2 lacks the controllers ${missing.join(", ")}: ${mendOfControllers()}`);
		return;
	}
	const missing = CONTROLLERS_V1.filter((name) => !existsSync(`${CGROUP_ROOT}/${name}/cgroup.procs`));
	if (missing.length > 0) throw new HostError(`cgroup v1 lacks the controllers ${missing.join(", ")}: limits couldn't be enforced`);
	requireSwapCounted(`${CGROUP_ROOT}/memory/memory.memsw.limit_in_bytes`);
}

/** Only the host's own root cgroup has no type: what a container sees as the root gets what its host hands down. */
function mendOfControllers(): string {
	if (existsSync(`${CGROUP_ROOT}/cgroup.type`)) return "delegate them to this container (a private cgroup namespace, privileged)";
	return "boot with cgroup_enable=memory, and without cgroup_disable";
}

function findRuntime(wanted: string): string {
	const found = findExecutable(wanted === "auto" ? RUNTIMES : [wanted]);
	if (found === undefined)
		throw new HostError(
			wanted === "auto"
				? `no OCI runtime (${RUNTIMES.join(" or ")}): apt-get install crun`
				: `there is no OCI runtime ${wanted}: install it, or set BERTH_OCI_RUNTIME to auto, crun, runc or a path`,
		);
	return found;
}
