import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { cgroupsOf } from "../harness/leftovers.js";

const FILES = [
	...[
		"memory.max",
		"memory.swap.max",
		"memory.oom.group",
		"cpu.max",
		"pids.max",
		"cgroup.freeze",
		"cpu.weight",
		"cpuset.cpus",
		"cgroup.events",
	],
	...["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "cpu.cfs_quota_us", "freezer.state", "cpu.shares"],
];

/** What a sandbox's cgroup says, file by file, of whichever version it is. */
export function cgroupFilesOf(dataDir: string, sandbox: string): Readonly<Record<string, string>> {
	const found = FILES.flatMap((name) => {
		const path = cgroupsOf(dataDir)
			.map((directory) => join(directory, sandbox, name))
			.find((each) => existsSync(each));
		return path === undefined ? [] : [[name, readFileSync(path, "utf8").trim()]];
	});
	return Object.fromEntries(found);
}

/** Files of a sandbox's cgroup that belong to a user. */
export function cgroupFilesOwnedBy(dataDir: string, sandbox: string, uid: number): readonly string[] {
	return [...new Set([...FILES, "cgroup.procs", "cgroup.kill", "tasks"])].filter((name) =>
		cgroupsOf(dataDir).some((directory) => {
			const path = join(directory, sandbox, name);
			return existsSync(path) && statSync(path).uid === uid;
		}),
	);
}
