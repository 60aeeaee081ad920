import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupsOf } from "./leftovers.js";

/** CPU time that a sandbox has used, in the kernel's finest unit: nanoseconds on cgroup v1, microseconds on v2. */
export function cpuTicksOf(dataDir: string, sandbox: string): number {
	for (const path of cgroupsOf(dataDir)) {
		const v1 = join(path, sandbox, "cpuacct.usage");
		if (existsSync(v1)) return Number(readFileSync(v1, "utf8"));
		const v2 = join(path, sandbox, "cpu.stat");
		const usage = existsSync(v2) ? /^usage_usec (\d+)$/m.exec(readFileSync(v2, "utf8")) : null;
		if (usage !== null) return Number(usage[1]);
	}
	throw new Error(`${sandbox} has no CPU accounting`);
}

/** A sandbox's memory limit, bytes. */
export function memoryLimitOf(dataDir: string, sandbox: string): number {
	for (const path of cgroupsOf(dataDir)) {
		for (const name of ["memory.limit_in_bytes", "memory.max"]) {
			const file = join(path, sandbox, name);
			if (existsSync(file)) return Number(readFileSync(file, "utf8"));
		}
	}
	throw new Error(`${sandbox} has no memory limit`);
}
