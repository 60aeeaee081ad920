import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CgroupPaths } from "@berth/contracts";

const FILES = {
	1: {
		cpu: "cpuacct.usage",
		memory: "memory.usage_in_bytes",
		peak: "memory.max_usage_in_bytes",
		oom: "memory.oom_control",
		freezer: "freezer.state",
		weight: "cpu.shares",
	},
	2: {
		cpu: "cpu.stat",
		memory: "memory.current",
		peak: "memory.peak",
		oom: "memory.events",
		freezer: "cgroup.freeze",
		weight: "cpu.weight",
	},
} as const;

/** A cgroup's figures, as they are told to a fake one. */
export interface Figures {
	readonly cpuUs: number;
	readonly memoryBytes: number;
	readonly peakMemoryBytes: number;
	readonly scratchBytes: number;
	readonly oomKills: number;
	readonly pidsRefused: number;
	readonly processes: number;
}

const AT_REST: Figures = {
	cpuUs: 1000,
	memoryBytes: 20 << 20,
	peakMemoryBytes: 20 << 20,
	scratchBytes: 0,
	oomKills: 0,
	pidsRefused: 0,
	processes: 2,
};

/** A directory of files that says what a cgroup would. */
export class FakeCgroup {
	readonly paths: CgroupPaths;
	/** The file that freezes it. */
	readonly freezer: string;
	/** The file that says what it weighs. */
	readonly weightFile: string;
	#figures = AT_REST;

	constructor(directory: string, version: 1 | 2 = 2) {
		mkdirSync(directory, { recursive: true });
		this.paths = { version, memory: directory, cpu: directory, pids: directory };
		this.freezer = join(directory, FILES[version].freezer);
		writeFileSync(this.freezer, "-".repeat(8));
		this.weightFile = join(directory, FILES[version].weight);
		writeFileSync(this.weightFile, "10\n");
		this.tell({});
	}

	/** What was last written to freeze or thaw it. */
	get freezerWord(): string {
		return readFileSync(this.freezer, "utf8").replaceAll("-", "");
	}

	/** What it weighs: 10 at first. */
	get weight(): number {
		return Number.parseInt(readFileSync(this.weightFile, "latin1"), 10);
	}

	tell(changes: Partial<Figures>): void {
		this.#figures = { ...this.#figures, ...changes };
		const { version, memory: directory } = this.paths;
		const { cpuUs, memoryBytes, peakMemoryBytes, scratchBytes, oomKills, pidsRefused, processes } = this.#figures;
		const files = FILES[version];
		const texts: Readonly<Record<string, string>> = {
			[files.cpu]: version === 2 ? `usage_usec ${cpuUs}\nuser_usec ${cpuUs}\nsystem_usec 0\n` : `${cpuUs * 1000}\n`,
			[files.memory]: `${memoryBytes}\n`,
			[files.peak]: `${peakMemoryBytes}\n`,
			"memory.stat": `anon 1\nfile 2\nshmem ${scratchBytes}\nshmem_thp 7\n`,
			[files.oom]:
				version === 2 ? `low 0\nhigh 0\nmax 9\noom 5\noom_kill ${oomKills}\n` : `oom_kill_disable 0\nunder_oom 0\noom_kill ${oomKills}\n`,
			"pids.events": `max ${pidsRefused}\n`,
			"pids.current": "8\n",
			"cgroup.procs": Array.from({ length: processes }, (_, index) => `${1000 + index}\n`).join(""),
		};
		for (const [name, text] of Object.entries(texts)) writeFileSync(join(directory, name), text);
	}
}
