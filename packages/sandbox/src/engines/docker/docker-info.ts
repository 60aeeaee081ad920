import { readFileSync } from "node:fs";
import { release } from "node:os";

/** What `GET /info` says of an Engine that we look at. */
export interface Info {
	readonly ServerVersion: string;
	readonly CgroupVersion?: string;
	readonly KernelVersion: string;
	readonly MemoryLimit: boolean;
	readonly SwapLimit: boolean;
	readonly CpuCfsQuota: boolean;
	readonly PidsLimit: boolean;
	readonly SecurityOptions: readonly string[];
}

/** No sandbox starts without every limit set. @throws Error with what is missing and how to mend it */
export function requireOurNeeds(info: Info, apparmorProfile?: string): void {
	if (info.KernelVersion !== release())
		throw new Error(
			`the Docker Engine runs on another kernel (${info.KernelVersion}) than this worker (${release()}): run Berth on the machine of the Engine`,
		);
	const swaps = Number(/^SwapTotal:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0) > 0;
	const missing = [
		...(info.MemoryLimit ? [] : ["memory limits"]),
		...(info.SwapLimit || !swaps ? [] : ["swap limits"]),
		...(info.CpuCfsQuota ? [] : ["CPU quotas"]),
		...(info.PidsLimit ? [] : ["pids limits"]),
		...(info.SecurityOptions.some((option) => option.includes("name=seccomp")) ? [] : ["seccomp"]),
		...(apparmorProfile === undefined || info.SecurityOptions.some((option) => option.includes("name=apparmor")) ? [] : ["AppArmor"]),
	];
	if (missing.length > 0) throw new Error(`this host's Docker Engine can't enforce ${missing.join(", ")}: \`docker info\` says why`);
}

/** Whether an Engine maps the ids of its containers by itself: which ids of this host they are isn't ours to say then. */
export function mapsUserIds({ SecurityOptions }: Info): boolean {
	return SecurityOptions.some((option) => /name=(?:userns|rootless)/.test(option));
}
