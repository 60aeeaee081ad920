import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { MS, mount, SyscallError } from "./syscalls.js";

/**
 * The OCI runtime moves a container's first process into its cgroups, and on v1 the first move waits for an RCU grace
 * period: 10 to 20 ms, a quarter of a boot (measured). While any hierarchy is mounted with `favordynmods` (Linux 6.0)
 * the kernel keeps that lock ready for writers. Ours is an empty one in our own mount namespace, and ends with us. The
 * price is a slower path for every fork and exit of the machine, too small to measure here (0.80 ms each, with and without).
 * @param name of the hierarchy; no other launcher may have it. @param onRefused told why it can't be had, on a kernel that knows it
 */
export function favourMigrations(directory: string, name: string, onRefused: (error: SyscallError) => void): void {
	const path = join(directory, "cgroup");
	mkdirSync(path, { recursive: true, mode: 0o700 });
	try {
		mount("none", path, "cgroup", MS.nosuid | MS.nodev | MS.noexec, `none,name=${name},favordynmods`);
	} catch (error) {
		// It only makes boots quicker. An older kernel doesn't know the option; what else refuses it is worth a line.
		if (!(error instanceof SyscallError)) throw error;
		if (error.code !== "EINVAL") onRefused(error);
	}
}
