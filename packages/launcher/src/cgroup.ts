import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { CgroupPaths, SandboxCpus, SandboxLimits } from "@berth/contracts";
import { CPU_PERIOD_US, cpuQuotaUs, ONE_PROCESS } from "@berth/sandbox/spec";
import { handDownControllers, requireFilesV2 } from "./cgroup-controllers.js";

const ROOT = "/sys/fs/cgroup";

/**
 * What the stack's own processes weigh against a sandbox that has every core, and computes alone. They want the CPU for tenths of
 * milliseconds at a time, and nobody's invocation waits for the slices of others at each hop. With eight times a crowd of short runs had 5 %
 * less throughput, since who is woken at once finds less to do at a time.
 */
const PLATFORM_WEIGHT = 4;
/** Their cgroup, among those of sandboxes: beside one group of all these, a sandbox that wakes would wait for its turn as long as those that compute. */
const PLATFORM = "platform";

/**
 * The cgroups of this launcher: one per sandbox below `/berth-<instance>`, in each v1 hierarchy or
 * in the one of v2, and among them, in that of the CPU, `platform` for the stack's own processes. The OCI runtime makes those of sandboxes; from
 * then on limits, freezing and removal are file operations of ours, because a process per change would cost more than the change.
 */
export class CgroupTree {
	readonly #version: 1 | 2;
	readonly #name: string;
	readonly #capsTasks: boolean;
	readonly #isService = /\.service$/m.test(readFileSync("/proc/self/cgroup", "utf8"));
	/** The v1 hierarchies, or the v2 root. */
	readonly #hierarchies: readonly string[];

	/** Whether swap is limited, as far as only a cgroup of v2 shows it: that of v1 was asked before. */
	readonly limitsSwap: boolean = true;

	/** @param capsTasks whether the kernel has the controller pids: an operator can do without. @param mayLackSwap whether that has been said of swap */
	constructor(version: 1 | 2, instance: string, capsTasks: boolean, mayLackSwap: boolean) {
		this.#version = version;
		this.#capsTasks = capsTasks;
		this.#name = `berth-${instance}`;
		this.#hierarchies = version === 2 ? [ROOT] : hierarchiesV1();
		if (version === 2) {
			const own = join(ROOT, this.#name);
			handDownControllers(ROOT, own, capsTasks);
			this.limitsSwap = requireFilesV2(own, mayLackSwap);
		}
		const { platformDirectory: platform } = this;
		// No more than that beside what else runs on this machine: sandboxes that compute have what the platform leaves of it.
		this.#weigh(this.#cpuDirectory, 1);
		if (platform !== undefined) this.#weigh(platform, PLATFORM_WEIGHT);
	}

	/**
	 * The directory of the cgroup in which the stack's own processes come before sandboxes; undefined for a service of systemd, whose cgroup is the
	 * unit's, and what that weighs its slice's (`Slice=`, `CPUWeight=`). Whoever goes into it removes it and what it is in, or a sweep does.
	 */
	get platformDirectory(): string | undefined {
		return this.#isService ? undefined : join(this.#cpuDirectory, PLATFORM);
	}

	/** What goes into config.json as cgroupsPath. */
	pathOf(sandbox: string): string {
		return `/${this.#name}/${sandbox}`;
	}

	/** Where the worker reads usage. */
	readPaths(sandbox: string): CgroupPaths {
		const at = (controller: string) => this.#directory(controller, sandbox);
		return { version: this.#version, memory: at("memory"), cpu: at("cpuacct"), pids: at(this.#tasksController) };
	}

	/**
	 * Lets a user freeze and thaw a sandbox, weigh it against others and say which CPUs it has, and nothing else of its cgroup.
	 * @param leavesCpu whether it has all but one until then
	 */
	delegate(sandbox: string, uid: number, leavesCpu = false): void {
		chownSync(this.freezerFile(sandbox), uid, -1);
		chownSync(this.weightFile(sandbox), uid, -1);
		const cpus = this.cpusOf(sandbox);
		if (cpus === undefined) return;
		chownSync(cpus.file, uid, -1);
		if (leavesCpu) writeFileSync(cpus.file, cpus.allButOne);
	}

	/** Which CPUs it may have; undefined where it has no choice. */
	cpusOf(sandbox: string): SandboxCpus | undefined {
		const file = join(this.#directory("cpuset", sandbox), "cpuset.cpus");
		const all = this.#cpus();
		return all.length > 1 && existsSync(file) ? { file, all: all.join(), allButOne: all.slice(1).join() } : undefined;
	}

	/** Writes limits that differ from what a prewarmed sandbox was booted with. */
	limit(sandbox: string, limits: SandboxLimits, before: SandboxLimits): void {
		if (limits.memoryBytes !== before.memoryBytes) this.#limitMemory(sandbox, limits.memoryBytes, before.memoryBytes);
		if (limits.cpuMilli !== before.cpuMilli) this.#limitCpu(sandbox, limits.cpuMilli);
		if (this.#capsTasks && limits.pids !== before.pids) this.#write("pids", sandbox, "pids.max", limits.pids);
	}

	/**
	 * Kills everything in a sandbox's cgroup. A frozen v1 task keeps its SIGKILL for later, so it is
	 * thawed after. Killing its init ends the whole pid namespace; the loop is for what a runtime
	 * left half-made.
	 */
	kill(sandbox: string): void {
		// Kernels before 5.14 have no cgroup.kill; on v2 a frozen process dies all the same.
		if (this.#version === 2 && existsSync(join(this.#directory("freezer", sandbox), "cgroup.kill"))) {
			this.#write("freezer", sandbox, "cgroup.kill", 1);
			return;
		}
		for (const pid of this.processes(sandbox)) signalKill(pid);
		if (this.#version === 1) this.#writeIfThere("freezer", sandbox, "freezer.state", "THAWED");
	}

	/** Pids that are in it now, as the host counts them. */
	processes(sandbox: string): readonly number[] {
		const file = join(this.#directory(this.#tasksController, sandbox), "cgroup.procs");
		if (!existsSync(file)) return [];
		return readFileSync(file, "utf8").split("\n").filter(Boolean).map(Number);
	}

	/**
	 * Whether nothing of a sandbox is left in its cgroup. On v2 who is on the way out is in no list any more, and keeps the cgroup
	 * from being removed all the same (seen with 6.1): there the kernel says when it is empty.
	 */
	isEmpty(sandbox: string): boolean {
		const events = join(this.#directory("pids", sandbox), "cgroup.events");
		if (this.#version === 2 && existsSync(events)) return readFileSync(events, "utf8").includes("populated 0");
		return this.processes(sandbox).length === 0;
	}

	/** Removes a sandbox's empty cgroup everywhere. @throws EBUSY while something lives in it */
	remove(sandbox: string): void {
		for (const hierarchy of this.#hierarchies) removeTree(join(hierarchy, this.#name, sandbox));
		// What crun makes on a hybrid host where it doesn't see the hierarchy of v2: plain files of ours (host.ts).
		if (this.#version === 1) rmSync(join(ROOT, "unified", this.#name, sandbox), { recursive: true, force: true });
	}

	/** Every sandbox that has a cgroup: what an earlier launcher of this data directory left. */
	leftovers(): readonly string[] {
		const names = this.#hierarchies.flatMap((hierarchy) => subdirectories(join(hierarchy, this.#name)));
		return [...new Set(names)].filter((name) => name !== PLATFORM);
	}

	/** Removes our own directory, when the last sandbox is gone; the platform's only if nothing is in it: a supervisor that still runs removes it itself. */
	close(): void {
		for (const sandbox of this.leftovers()) this.remove(sandbox);
		for (const hierarchy of this.#hierarchies) {
			try {
				removeTree(join(hierarchy, this.#name));
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== "EBUSY" || !existsSync(join(hierarchy, this.#name, PLATFORM))) throw error;
			}
		}
	}

	#limitMemory(sandbox: string, bytes: number, before: number): void {
		if (this.#version === 2) {
			this.#write("memory", sandbox, "memory.max", bytes);
			return;
		}
		// memory ≤ memory+swap holds at every moment: the outer limit moves first upwards, last downwards.
		const plain = () => this.#write("memory", sandbox, "memory.limit_in_bytes", bytes);
		const withSwap = () => this.#writeIfThere("memory", sandbox, "memory.memsw.limit_in_bytes", bytes);
		for (const step of bytes > before ? [withSwap, plain] : [plain, withSwap]) step();
	}

	#limitCpu(sandbox: string, cpuMilli: number): void {
		if (this.#version === 2) this.#write("cpu", sandbox, "cpu.max", `${cpuQuotaUs(cpuMilli)} ${CPU_PERIOD_US}`);
		else this.#write("cpu", sandbox, "cpu.cfs_quota_us", cpuQuotaUs(cpuMilli));
	}

	/** The file that freezes and thaws a sandbox. */
	freezerFile(sandbox: string): string {
		return join(this.#directory("freezer", sandbox), this.#version === 2 ? "cgroup.freeze" : "freezer.state");
	}

	/** The file that says what a sandbox weighs among those that want the CPU. */
	weightFile(sandbox: string): string {
		return join(this.#directory("cpu", sandbox), this.#version === 2 ? "cpu.weight" : "cpu.shares");
	}

	#directory(controller: string, sandbox: string): string {
		return this.#version === 2 ? join(ROOT, this.#name, sandbox) : join(ROOT, controller, this.#name, sandbox);
	}

	#write(controller: string, sandbox: string, file: string, value: string | number): void {
		writeFileSync(join(this.#directory(controller, sandbox), file), String(value));
	}

	#writeIfThere(controller: string, sandbox: string, file: string, value: string | number): void {
		if (existsSync(join(this.#directory(controller, sandbox), file))) this.#write(controller, sandbox, file, value);
	}

	/** As many times as one busy process per core: a group's default is that of a single process, whatever runs in it. What else runs on this machine has its share beside it. */
	#weigh(directory: string, times: number): void {
		mkdirSync(directory, { recursive: true });
		const [file, most] = this.#version === 2 ? (["cpu.weight", 10_000] as const) : (["cpu.shares", 262_144] as const);
		const value = times * ONE_PROCESS[this.#version] * availableParallelism();
		writeFileSync(join(directory, file), String(Math.min(most, value)));
	}

	/** Those that our cgroup has; none where the kernel has no such controller. */
	#cpus(): readonly number[] {
		const file =
			this.#version === 2 ? join(ROOT, this.#name, "cpuset.cpus.effective") : join(ROOT, "cpuset", this.#name, "cpuset.effective_cpus");
		return existsSync(file) ? cpuList(readFileSync(file, "utf8")) : [];
	}

	/** Every hierarchy of v1 has the same tasks; this one is there. */
	get #tasksController(): string {
		return this.#capsTasks ? "pids" : "freezer";
	}

	get #cpuDirectory(): string {
		return this.#version === 2 ? join(ROOT, this.#name) : join(ROOT, "cpu", this.#name);
	}
}

function hierarchiesV1(): readonly string[] {
	return subdirectories(ROOT)
		.map((name) => join(ROOT, name))
		.filter((directory) => existsSync(join(directory, "cgroup.procs")));
}

function subdirectories(directory: string): readonly string[] {
	if (!existsSync(directory)) return [];
	return readdirSync(directory, { withFileTypes: true })
		.filter((entry) => entry.isDirectory())
		.map((entry) => entry.name);
}

/** rmdir from the leaves up: cgroupfs has no other way. */
function removeTree(directory: string): void {
	for (const name of subdirectories(directory)) removeTree(join(directory, name));
	if (existsSync(directory)) rmdirSync(directory);
}

function signalKill(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}

/** "0-2,4" as the numbers in it (cpuset(7), "List format"). */
function cpuList(text: string): readonly number[] {
	return text
		.trim()
		.split(",")
		.filter(Boolean)
		.flatMap((range) => {
			const [first = 0, last = first] = range.split("-").map(Number);
			return Array.from({ length: last - first + 1 }, (_, at) => first + at);
		});
}
