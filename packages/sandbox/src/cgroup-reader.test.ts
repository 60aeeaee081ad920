import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { CgroupReader } from "./cgroup-reader.js";
import { temporaryDirectory } from "./testing/directory.js";
import { FakeCgroup } from "./testing/fake-cgroup.js";

const directory = temporaryDirectory();
const opened: CgroupReader[] = [];
const children: ChildProcess[] = [];
afterEach(() => {
	for (const child of children.splice(0)) child.kill("SIGKILL");
	for (const reader of opened.splice(0)) reader.close();
});

function open(version: 1 | 2): { readonly cgroup: FakeCgroup; readonly reader: CgroupReader } {
	const cgroup = new FakeCgroup(directory.path, version);
	const reader = new CgroupReader(cgroup.paths);
	opened.push(reader);
	return { cgroup, reader };
}

describe.each([1, 2] as const)("cgroup v%i", (version) => {
	test("every figure is read where the kernel has it, in the unit that its name says", () => {
		const { cgroup, reader } = open(version);
		cgroup.tell({ cpuUs: 1234, memoryBytes: 5, peakMemoryBytes: 6, scratchBytes: 7, oomKills: 8, pidsRefused: 9, processes: 3 });
		const figures = [reader.cpuUs(), reader.memoryBytes(), reader.peakMemoryBytes(), reader.scratchBytes(), reader.oomKills()];
		expect(figures).toEqual([1234, 5, 6, 7, 8]);
		expect([reader.pidsRefused(), reader.processes()]).toEqual([9, 3]);
	});

	test("what is read again is what the file says now", () => {
		const { cgroup, reader } = open(version);
		expect(reader.memoryBytes()).toBe(20 << 20);
		cgroup.tell({ memoryBytes: 1, cpuUs: 2 });
		expect([reader.memoryBytes(), reader.cpuUs()]).toEqual([1, 2]);
	});

	test("what was remembered holds when the cgroup goes before it is looked at again", () => {
		const { cgroup, reader } = open(version);
		cgroup.tell({ cpuUs: 3, oomKills: 1 });
		reader.remember();
		reader.close();
		rmSync(directory.path, { recursive: true });
		reader.remember();
		expect([reader.cpuUs(), reader.oomKills()]).toEqual([3, 1]);
		expect(() => reader.processes()).toThrow("ENOENT");
	});
});

test("a process that has as little mapped as the smallest is empty, one of a few pages more isn't; of one that can't be looked at nobody knows", async () => {
	const { reader } = open(2);
	/** At rest, with as much of its stack taken. */
	const started = async (taken: number) => {
		const child = spawn("cat", { env: { ...process.env, TAKES: "x".repeat(taken) }, stdio: ["pipe", "pipe", "inherit"] });
		children.push(child);
		child.stdin.write("ready");
		await once(child.stdout, "data");
		return child.pid;
	};
	const occupied = (...pids: unknown[]) => {
		writeFileSync(join(directory.path, "cgroup.procs"), pids.map((pid) => `${pid}\n`).join(""));
		return reader.occupied();
	};
	const [empty, alike, tiny] = [await started(1), await started(1), await started(40 << 10)];
	expect([occupied(empty), occupied(empty, alike), occupied(empty, tiny), occupied(tiny, process.pid, empty)]).toEqual([0, 0, 1, 2]);
	// No kernel gives such a pid: it is as one that has ended, or that isn't shown.
	const unseen = 2 ** 30;
	expect([occupied(unseen), occupied(unseen, unseen + 1), occupied(empty, unseen)]).toEqual([1, 2, 1]);
});

test("where the kernel keeps no peak, what it has now is the best there is", () => {
	const { cgroup } = open(2);
	rmSync(join(directory.path, "memory.peak"));
	const reader = new CgroupReader(cgroup.paths);
	opened.push(reader);
	expect(reader.peakMemoryBytes()).toBe(20 << 20);
});

test.each([1, 2] as const)("where cgroup v%i doesn't count tasks, none was refused", (version) => {
	const { cgroup } = open(version);
	for (const name of ["pids.current", "pids.events"]) rmSync(join(directory.path, name));
	const reader = new CgroupReader(cgroup.paths);
	opened.push(reader);
	expect(reader.pidsRefused()).toBe(0);
	reader.remember();
});

test("an event that this kernel doesn't count hasn't happened, and one isn't taken for another of a longer name", () => {
	const { reader } = open(2);
	writeFileSync(join(directory.path, "memory.events"), "oom_kill_disable 1\nmax_oom_kill 2\n");
	writeFileSync(join(directory.path, "memory.stat"), "shmem_thp 4\n");
	expect([reader.oomKills(), reader.scratchBytes()]).toEqual([0, 0]);
});
