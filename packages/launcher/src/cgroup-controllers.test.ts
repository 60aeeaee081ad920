import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { handDownControllers, requireFilesV2, requireSwapCounted } from "./cgroup-controllers.js";
import { HostError } from "./host-error.js";

let root: string;
let own: string;
beforeEach(async () => {
	root = await mkdtemp(join(tmpdir(), "berth-cgroup-"));
	own = join(root, "berth-test");
});
afterEach(() => rm(root, { recursive: true }));

const read = (path: string) => readFile(join(root, path), "utf8");

test("controllers are handed down at the root and below it", async () => {
	handDownControllers(root, own);
	expect([await read("cgroup.subtree_control"), await read("berth-test/cgroup.subtree_control")]).toEqual([
		"+memory +cpu +pids",
		"+memory +cpu +pids",
	]);
});

test("that of the CPUs' choice is handed down where there is one, and done without where there is none", async () => {
	await mkdir(own);
	const handedDown = async () => [await read("cgroup.subtree_control"), await read("berth-test/cgroup.subtree_control")];
	await writeFile(join(root, "cgroup.controllers"), "cpuset cpu io memory pids\n");
	await writeFile(join(own, "cgroup.controllers"), "cpu memory pids\n");
	handDownControllers(root, own);
	// The kernel adds what is written to what there is.
	expect(await handedDown()).toEqual(["+cpuset", "+memory +cpu +pids"]);
	await writeFile(join(own, "cgroup.controllers"), "cpuset cpu memory pids\n");
	handDownControllers(root, own);
	expect(await handedDown()).toEqual(["+cpuset", "+cpuset"]);
});

test("processes in what a container sees as the root are moved aside, those from outside are not", async () => {
	await writeFile(join(root, "cgroup.type"), "domain\n");
	await writeFile(join(root, "cgroup.procs"), "0\n4711\n");
	handDownControllers(root, own);
	expect(await read("berth-aside/cgroup.procs")).toBe("4711");
});

test("a root that isn't there, or can't be written, is an error that says what to do", async () => {
	await mkdir(join(root, "cgroup.subtree_control"));
	expect(() => handDownControllers(root, own)).toThrow(HostError);
	expect(() => handDownControllers(root, own)).toThrow(/handed down in .* \(EISDIR\)/);
});

test("a kernel that can't freeze a cgroup of ours is refused", async () => {
	expect(() => requireFilesV2(root)).toThrow("this kernel can't freeze cgroups of v2: Linux 5.2 or newer does");
});

test("a host that swaps is refused when its kernel limits no swap, and one that doesn't swap isn't", async () => {
	const file = join(root, "memory.swap.max");
	expect(() => requireSwapCounted(file, "MemTotal: 8 kB\nSwapTotal:       4 kB\n")).toThrow(HostError);
	requireSwapCounted(file, "SwapTotal:       0 kB\n");
	await writeFile(file, "max\n");
	requireSwapCounted(file, "SwapTotal:       4 kB\n");
});
