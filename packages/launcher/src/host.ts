import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { outerMounts } from "@berth/config";
import type { HostReport, WaivableLimit } from "@berth/contracts";
import { CONTROLLERS_V2 } from "./cgroup-controllers.js";
import { findExecutable } from "./executables.js";
import { HostError } from "./host-error.js";
import { MS, mount, unmount } from "./syscalls.js";
import { KERNEL_FILES, unenforceable } from "./unenforceable.js";

const CGROUP_ROOT = KERNEL_FILES.cgroups;
/** Where the hierarchy of v2 is on a hybrid host. */
const UNIFIED = `${CGROUP_ROOT}/unified`;
/** Without one of these the platform can't do its work. */
const CONTROLLERS_V1 = ["memory", "cpu", "cpuacct", "freezer", "devices"] as const;
const RUNTIMES = ["crun", "runc"] as const;

/** What the probe found, for the launcher itself. */
export interface Host extends Omit<HostReport, "networks" | "storage" | "runtimeClasses"> {
	readonly unenforced: readonly WaivableLimit[];
	readonly ociRuntimePath: string;
	readonly cgroupVersion: 1 | 2;
	readonly arch: "x64" | "arm64";
}

/**
 * Probes cgroups and OCI runtime. Everything is found out here, once, so that a sandbox never starts
 * with a limit missing that its operator doesn't do without. @throws HostError with what is missing and how to mend it
 */
export function probeHost(wantedRuntime: string, allowed: readonly WaivableLimit[], outer = outerMounts()): Host {
	if (process.arch !== "x64" && process.arch !== "arm64")
		throw new HostError(`this processor (${process.arch}) isn't supported: x64 and arm64 are`);
	requirePrivateMounts(outer);
	const cgroups = cgroupMode();
	requireControllers(cgroups);
	const cgroupVersion = cgroups === "v2" ? 2 : 1;
	const unenforced = unenforceable(cgroupVersion, allowed, KERNEL_FILES);
	const ociRuntimePath = findRuntime(wantedRuntime);
	const version = execFileSync(ociRuntimePath, ["--version"], { encoding: "utf8" });
	// The runtime spec's version, which each of them says.
	if (!/^\s*(?:oci )?specs?: /im.test(version))
		throw new HostError(`${ociRuntimePath} is no OCI runtime: asked for its version, it doesn't say which runtime-spec it follows`);
	if (cgroups === "hybrid") hideUnified();
	return {
		cgroups,
		cgroupVersion,
		unenforced,
		ociRuntime: ociRuntimePath.slice(ociRuntimePath.lastIndexOf("/") + 1),
		ociRuntimePath,
		ociRuntimeVersion: /version:? (\S+)/.exec(version)?.[1] ?? "unknown",
		arch: process.arch,
	};
}

/** Our mounts must die with us and be seen by nobody else. The namespace of a process with more privileges than ours can't be looked at: it is told. */
function requirePrivateMounts(outer: string | undefined): void {
	if (outer === undefined || readlinkSync("/proc/self/ns/mnt") === outer)
		throw new HostError("the launcher has to be in a mount namespace of its own, as `berth up` starts it");
}

function cgroupMode(): HostReport["cgroups"] {
	if (existsSync(`${CGROUP_ROOT}/cgroup.controllers`)) return "v2";
	if (!existsSync(`${CGROUP_ROOT}/memory`))
		throw new HostError("no cgroups are mounted at /sys/fs/cgroup: mount cgroup2 there, or boot with systemd");
	return existsSync(`${UNIFIED}/cgroup.procs`) ? "hybrid" : "v1";
}

/**
 * crun refuses a hybrid host; in our own mount namespace it needn't see that it is one. Where the hierarchy of v2 was it makes a directory for
 * each sandbox all the same: in memory of ours, as the host's own directory may be read-only (systemd's is), and would keep them for ever.
 */
function hideUnified(): void {
	unmount(UNIFIED);
	mount("tmpfs", UNIFIED, "tmpfs", MS.nosuid | MS.nodev | MS.noexec, "mode=755,size=64m");
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
