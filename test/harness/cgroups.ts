import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupsOf } from "./leftovers.js";

const ROOT = "/sys/fs/cgroup";

/** CPU time that a sandbox has used, in the kernel's finest unit: nanoseconds on cgroup v1, microseconds on v2. */
export function cpuTicksOf(dataDir: string, sandbox: string): number {
	for (const path of directoriesOf(dataDir, sandbox)) {
		const v1 = join(path, "cpuacct.usage");
		if (existsSync(v1)) return Number(readFileSync(v1, "utf8"));
		const v2 = join(path, "cpu.stat");
		const usage = existsSync(v2) ? /^usage_usec (\d+)$/m.exec(readFileSync(v2, "utf8")) : null;
		if (usage !== null) return Number(usage[1]);
	}
	throw new Error(`${sandbox} has no CPU accounting`);
}

/** Whether all that is in a sandbox stands still, as the kernel says: v1 stops a task when it next enters the kernel, for which it has to get the CPU. */
export function standsStill(dataDir: string, sandbox: string): boolean {
	return directoriesOf(dataDir, sandbox).some((path) =>
		/^(?:FROZEN|frozen 1)$/m.test(`${read(join(path, "freezer.state"))}\n${read(join(path, "cgroup.events"))}`),
	);
}

/** A sandbox's memory limit, bytes. */
export function memoryLimitOf(dataDir: string, sandbox: string): number {
	for (const path of directoriesOf(dataDir, sandbox)) {
		for (const name of ["memory.limit_in_bytes", "memory.max"]) {
			const file = join(path, name);
			if (existsSync(file)) return Number(readFileSync(file, "utf8"));
		}
	}
	throw new Error(`${sandbox} has no memory limit`);
}

/** What a sandbox weighs among those that want the CPU. */
export function cpuWeightOf(dataDir: string, sandbox: string): number {
	for (const path of directoriesOf(dataDir, sandbox)) {
		for (const name of ["cpu.shares", "cpu.weight"]) {
			const file = join(path, name);
			if (existsSync(file)) return Number(readFileSync(file, "utf8"));
		}
	}
	throw new Error(`${sandbox} has no CPU weight`);
}

/** A sandbox's cgroup in every hierarchy: below its launcher's; or, with a Docker Engine, where its processes are. */
function directoriesOf(dataDir: string, sandbox: string): readonly string[] {
	const launched = cgroupsOf(dataDir)
		.map((path) => join(path, sandbox))
		.filter((path) => existsSync(path));
	if (launched.length > 0) return launched;
	const pid = readdirSync("/proc").find((each) => /^\d+$/.test(each) && read(`/proc/${each}/mountinfo`).includes(`${sandbox}.sock`));
	const lines = read(`/proc/${pid}/cgroup`).trim().split("\n");
	return lines.map((line) => {
		const [, controller = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
		return join(ROOT, controller, path);
	});
}

/** A process may end while it is looked at, and a hierarchy has some of the files. */
function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
