import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import type { CgroupPaths } from "@berth/contracts";

/** What a process has mapped that is gone, or that the host's /proc doesn't show to us (`hidepid`). */
const UNSEEN = Number.POSITIVE_INFINITY;

const SCRATCH = Buffer.allocUnsafe(8192);

/** Files of one cgroup version: where each figure is, and how it is read. */
interface Layout {
	readonly cpu: string;
	readonly memoryNow: string;
	readonly memoryPeak: string;
	readonly memoryStat: string;
	readonly oomEvents: string;
	readonly pidsEvents: string;
	/** CPU time from the content of its file, microseconds. */
	cpuUs(text: string): number;
}

const LAYOUTS: Readonly<Record<1 | 2, Layout>> = {
	1: {
		cpu: "cpuacct.usage",
		memoryNow: "memory.usage_in_bytes",
		memoryPeak: "memory.max_usage_in_bytes",
		memoryStat: "memory.stat",
		oomEvents: "memory.oom_control",
		pidsEvents: "pids.events",
		cpuUs: (text) => Number(text) / 1000,
	},
	2: {
		cpu: "cpu.stat",
		memoryNow: "memory.current",
		memoryPeak: "memory.peak",
		memoryStat: "memory.stat",
		oomEvents: "memory.events",
		pidsEvents: "pids.events",
		cpuUs: (text) => field(text, "usage_usec"),
	},
};

/** A sandbox's cgroup, read through descriptors that stay open. Readable by anyone; written by the launcher. */
export class CgroupReader {
	readonly #layout: Layout;
	readonly #fds = new Map<string, number>();
	readonly #paths: CgroupPaths;
	/** What its files said when they were last looked at, by path. */
	readonly #remembered = new Map<string, string>();
	/** Whether the kernel keeps the most memory it ever had: cgroup v2 does so from 5.19 on. */
	readonly keepsPeak: boolean;
	/** Whether the kernel counts and caps tasks here: an operator can do without. */
	readonly #capsTasks: boolean;

	constructor(paths: CgroupPaths) {
		this.#layout = LAYOUTS[paths.version];
		this.#paths = paths;
		this.keepsPeak = existsSync(join(paths.memory, this.#layout.memoryPeak));
		this.#capsTasks = existsSync(join(paths.pids, "pids.current"));
	}

	/** CPU time of everything that ever ran in it, microseconds. */
	cpuUs(): number {
		return this.#layout.cpuUs(this.#text(this.#paths.cpu, this.#layout.cpu));
	}

	memoryBytes(): number {
		return Number(this.#text(this.#paths.memory, this.#layout.memoryNow));
	}

	/** The most it ever had; what it has now where the kernel doesn't keep that. */
	peakMemoryBytes(): number {
		return this.keepsPeak ? Number(this.#text(this.#paths.memory, this.#layout.memoryPeak)) : this.memoryBytes();
	}

	/** Bytes in its tmpfs, which are charged to it as shared memory. */
	scratchBytes(): number {
		return field(this.#text(this.#paths.memory, this.#layout.memoryStat), "shmem");
	}

	/** How often the kernel killed something of it for memory. */
	oomKills(): number {
		return field(this.#text(this.#paths.memory, this.#layout.oomEvents), "oom_kill");
	}

	/** How often a fork met the pids cap; never where the host has none. */
	pidsRefused(): number {
		if (!this.#capsTasks) return 0;
		return field(this.#text(this.#paths.pids, this.#layout.pidsEvents), "max");
	}

	/**
	 * Processes in it now: init and Node, and what they have started. The file is opened each time: of one that stays open v1 gives
	 * the same list again for a second (kernel/cgroup/cgroup-v1.c, cgroup_pidlist_start).
	 */
	processes(): number {
		return this.#pids().length;
	}

	/**
	 * Processes in it that something runs in. gVisor has one for each address space inside, and keeps it for the next when that is over, with nothing but a
	 * page of its own mapped; the one that it makes them of is as empty, so that these are the smallest, by no more than a page. One that can't be looked at counts.
	 */
	occupied(): number {
		const sizes = this.#pids().map(pagesOf);
		const empty = Math.min(...sizes);
		return sizes.filter((size) => size > empty || size === UNSEEN).length;
	}

	/** Reads everything, for when the cgroup is gone: from then on this is what its files say. */
	remember(): void {
		const { cpu, memoryNow, memoryPeak, memoryStat, oomEvents, pidsEvents } = this.#layout;
		const { memory, pids } = this.#paths;
		const files = [
			[this.#paths.cpu, cpu],
			[memory, memoryNow],
			...(this.keepsPeak ? [[memory, memoryPeak] as const] : []),
			[memory, memoryStat],
			[memory, oomEvents],
			...(this.#capsTasks ? [[pids, pidsEvents] as const] : []),
		] as const;
		for (const [directory, file] of files) this.#remembered.set(`${directory}/${file}`, this.#text(directory, file));
	}

	close(): void {
		for (const fd of this.#fds.values()) closeSync(fd);
		this.#fds.clear();
	}

	#pids(): readonly string[] {
		return readFileSync(`${this.#paths.pids}/cgroup.procs`, "latin1").split("\n").filter(Boolean);
	}

	#text(directory: string, file: string): string {
		const path = `${directory}/${file}`;
		try {
			return this.#read(path);
		} catch (error) {
			const remembered = this.#remembered.get(path);
			if (remembered === undefined) throw error;
			return remembered;
		}
	}

	#read(path: string): string {
		let fd = this.#fds.get(path);
		if (fd === undefined) {
			fd = openSync(path, "r");
			this.#fds.set(path, fd);
		}
		return SCRATCH.toString("latin1", 0, readSync(fd, SCRATCH, 0, SCRATCH.length, 0));
	}
}

/** How much a process has mapped. */
function pagesOf(pid: string): number {
	try {
		return Number.parseInt(readFileSync(`/proc/${pid}/statm`, "latin1"), 10);
	} catch {
		return UNSEEN;
	}
}

/** The number after a word at the start of a line; 0 when there is no such line. */
function field(text: string, name: string): number {
	const at = text.startsWith(`${name} `) ? 0 : text.indexOf(`\n${name} `) + 1;
	if (at === 0 && !text.startsWith(`${name} `)) return 0;
	return Number.parseInt(text.slice(at + name.length + 1), 10);
}
