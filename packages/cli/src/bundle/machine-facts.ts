import { readdir, readFile, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Settings } from "@berth/config";
import { isRunning } from "../supervisor/process-identity.js";
import { readSupervisorState } from "../supervisor/state-file.js";
import { isMissing, messageOf } from "../system-errors.js";

const KERNEL = [
	"/proc/version",
	"/proc/loadavg",
	"/proc/meminfo",
	"/proc/self/cgroup",
	"/proc/pressure/cpu",
	"/proc/pressure/memory",
	"/proc/pressure/io",
	"/sys/fs/cgroup/cgroup.controllers",
	"/sys/kernel/mm/transparent_hugepage/enabled",
	"/proc/sys/vm/overcommit_memory",
	"/proc/sys/fs/file-nr",
	"/proc/sys/user/max_user_namespaces",
	"/proc/sys/kernel/pid_max",
];
/** Options of mounts that are flags or sizes; others may hold a login. */
const PLAIN_OPTION = /^(?:rw|ro|nosuid|nodev|noexec|relatime|noatime|shared|private|size=\d+k?|nr_inodes=\d+|mode=\d+)$/;
const STATUS = /^(?:Name|State|Uid|Threads|VmRSS|VmSwap|Seccomp|NoNewPrivs|CapEff|nonvoluntary_ctxt_switches):/;

/** Kernel, memory, load, cgroups; each as the kernel says it, or why it doesn't. */
export async function kernelFacts(): Promise<object> {
	const facts = await Promise.all(KERNEL.map(async (path) => [path, await textOrWhy(path)]));
	const cpus = (await readFile("/proc/cpuinfo", "utf8")).match(/^model name.*$/gm) ?? [];
	return { ...Object.fromEntries(facts), processors: cpus.length, model: cpus[0]?.replace(/^.*: /, "") };
}

/** Where what is mounted, with what flags. */
export async function mounts(): Promise<readonly string[]> {
	const lines = (await readFile("/proc/self/mounts", "utf8")).trim().split("\n");
	return lines.map((line) => {
		const [, place = "", type = "", options = ""] = line.split(" ");
		return `${type} ${place} ${options
			.split(",")
			.filter((option) => PLAIN_OPTION.test(option))
			.join(",")}`;
	});
}

/** The supervised processes: whether each runs, and what it holds. */
export async function processes({ paths }: Pick<Settings, "paths">): Promise<object> {
	const state = await readSupervisorState(paths);
	if (state === undefined) throw new Error("no stack is up in this data directory");
	const { supervisor, phase, startedAt, children } = state;
	const all = [{ name: "supervisor", ...supervisor }, ...children];
	const found = await Promise.all(
		all.map(async ({ name, ...identity }) => ({
			name,
			pid: identity.pid,
			...((await isRunning(identity)) ? await ofProcess(identity.pid) : { runs: false }),
		})),
	);
	return { phase, startedAt, processes: found };
}

async function ofProcess(pid: number): Promise<object> {
	const status = (await textOrWhy(`/proc/${pid}/status`)).split("\n").filter((line) => STATUS.test(line));
	const descriptors = await readdir(`/proc/${pid}/fd`).then(
		({ length }) => length,
		(error: unknown) => messageOf(error),
	);
	const [cgroup, oom] = await Promise.all(["cgroup", "oom_score_adj"].map((name) => textOrWhy(`/proc/${pid}/${name}`)));
	return { runs: true, status, descriptors, cgroup, oom };
}

/** What the parts of the data directory take, beside what they may. Numbers of files and bytes alone. */
export async function disk({ paths, dataDir, storage, imageBytes, volumeBytes }: Settings): Promise<object> {
	const { bsize, blocks, bavail, files, ffree } = await statfs(dataDir);
	const stores = {
		queued: storage.queuedBytes,
		requests: storage.requestBytes,
		results: storage.resultBytes,
		logs: storage.logBytes,
		deliveries: storage.deliveryBytes,
	};
	const budgets = { ...stores, oci: imageBytes ?? null, sources: null, functions: null, keys: null };
	const artifacts = Object.entries(budgets).map(async ([name, budgetBytes]) => [
		name,
		{ ...(await sizeOf(join(paths.artifacts, name))), budgetBytes },
	]);
	const others = { durable: paths.durableRedis, fast: paths.fastRedis, processLogs: paths.logs, volumes: join(paths.launcher, "volumes") };
	const rest = Object.entries(others).map(async ([name, path]) => [name, await sizeOf(path)]);
	return {
		fileSystem: { bytes: blocks * bsize, freeBytes: bavail * bsize, inodes: files, freeInodes: ffree },
		volumesBudgetBytes: volumeBytes,
		artifacts: Object.fromEntries(await Promise.all(artifacts)),
		others: Object.fromEntries(await Promise.all(rest)),
	};
}

async function sizeOf(path: string): Promise<{ files: number; bytes: number } | { missing: string }> {
	const total = { files: 0, bytes: 0 };
	try {
		for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
			if (!entry.isFile()) continue;
			total.files++;
			total.bytes += (await stat(join(entry.parentPath, entry.name)).catch(ignoreMissing))?.blocks ?? 0;
		}
	} catch (error) {
		return { missing: messageOf(error) };
	}
	// What is taken, not how long it is: volumes have holes. Blocks are of 512 bytes (stat(2)).
	return { ...total, bytes: total.bytes * 512 };
}

/** Removed since it was listed. */
function ignoreMissing(error: unknown): undefined {
	if (!isMissing(error)) throw error;
}

async function textOrWhy(path: string): Promise<string> {
	return await readFile(path, "utf8").then(
		(text) => text.trim(),
		(error: unknown) => `(${messageOf(error)})`,
	);
}
