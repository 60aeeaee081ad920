import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { CgroupPaths } from "@berth/contracts";

const ROOT = "/sys/fs/cgroup";

/**
 * The directories of a process's cgroup as this host has them mounted (cgroups(7), "/proc/pid/cgroup": `9:memory:/docker/…`, or
 * `0::/…` of cgroup v2). @throws Error when the process has ended, or isn't of this host
 */
export function cgroupOf(pid: number, files = { proc: "/proc", root: ROOT }): CgroupPaths {
	const lines = readFileSync(join(files.proc, String(pid), "cgroup"), "utf8")
		.trim()
		.split("\n")
		.map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
	const pathOf = (controller: string) => lines.find((line) => line?.[1]?.split(",").includes(controller))?.[2];
	const version = existsSync(join(files.root, "cgroup.controllers")) ? 2 : 1;
	const at = (controller: string) => {
		const path = version === 2 ? pathOf("") : pathOf(controller);
		const directory = path === undefined ? undefined : version === 2 ? join(files.root, path) : join(files.root, controller, path);
		if (directory === undefined || !existsSync(directory))
			throw new Error(`the ${controller} cgroup of process ${pid} can't be found at ${directory ?? files.root}`);
		return directory;
	};
	return { version, memory: at("memory"), cpu: at("cpuacct"), pids: at("pids") };
}
