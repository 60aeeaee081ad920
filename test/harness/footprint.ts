import { readFileSync, readlinkSync } from "node:fs";
import { expect } from "vitest";
import { namesIn } from "./directory-names.js";
import { eventually } from "./eventually.js";
import { processesOf, sandboxCgroupsOf, sandboxFilesOf } from "./leftovers.js";
import { lastingKeysOf } from "./redis.js";
import type { ProcessName, Stack } from "./stack.js";

/** What sandboxes are made with, and by. */
const MAKERS: readonly ProcessName[] = ["launcher", "worker", "gateway"];
const NAMESPACES = ["mnt", "net", "pid", "user", "ipc", "uts", "cgroup"];
/** What sandboxes have in the launcher's own file systems. */
const LAUNCHERS = ["launcher/sandboxes", "launcher/state", "launcher/containers"];

/** Everything that a stack has on its host and in Redis while no sandbox is there: what it says is what was left. */
export interface Footprint {
	readonly processes: readonly string[];
	readonly cgroups: readonly string[];
	readonly files: readonly string[];
	/** Of the launcher, whose mount namespace has all sandboxes' roots. */
	readonly mounts: readonly string[];
	readonly namespaces: number;
	/** Open descriptors by process and kind: sockets, pipes, files. */
	readonly descriptors: Readonly<Record<string, number>>;
	/** Of both servers: keys that nothing ends. */
	readonly keys: readonly string[];
}

/** Ends every sandbox of a stack, keeps it without any, and looks. */
export async function footprintOf(stack: Stack): Promise<Footprint> {
	const { client, dataDir } = stack;
	await client.command({ kind: "prewarm", floor: 0 });
	await eventually(async () => {
		for (const { id } of await client.sandboxes()) await client.command({ kind: "kill", sandbox: id });
		expect(await client.sandboxes()).toEqual([]);
		expect(sandboxCgroupsOf(dataDir)).toEqual([]);
	}, 30_000);
	const pids = await Promise.all(MAKERS.map((name) => stack.pidOf(name)));
	const [launcher] = pids as [number, number, number];
	const all = processesOf(dataDir);
	return {
		processes: all.map((line) => line.replace(/^\d+ /, "")).sort(),
		cgroups: sandboxCgroupsOf(dataDir),
		files: [...sandboxFilesOf(dataDir), ...LAUNCHERS.flatMap((place) => namesIn(`/proc/${launcher}/root${dataDir}/${place}`))].sort(),
		mounts: readFileSync(`/proc/${launcher}/mountinfo`, "utf8")
			.split("\n")
			.map((line) => line.split(" ")[4] ?? "")
			.sort(),
		namespaces: new Set(all.flatMap((line) => namespacesOf(line.split(" ")[0] ?? ""))).size,
		descriptors: Object.fromEntries(MAKERS.flatMap((name, index) => descriptorsOf(name, pids[index] as number))),
		keys: [...(await lastingKeysOf(dataDir, "durable")), ...(await lastingKeysOf(dataDir, "fast"))],
	};
}

/** What is more than it was: connections and files that were open for something else may have been closed since, and mounts of others, which the launcher began with, are gone with theirs. */
export function beyond(before: Footprint, now: Footprint): Footprint {
	const kinds = Object.keys({ ...before.descriptors, ...now.descriptors });
	const most = kinds.map((kind) => [kind, Math.max(before.descriptors[kind] ?? 0, now.descriptors[kind] ?? 0)] as const);
	return { ...now, descriptors: Object.fromEntries(most), mounts: [...now.mounts, ...lacking(before.mounts, now.mounts)].sort() };
}

/** Those of the one that the other lacks; of several of a name as many as it lacks. */
function lacking(of: readonly string[], other: readonly string[]): readonly string[] {
	const left = [...other];
	return of.filter((one) => {
		const at = left.indexOf(one);
		if (at >= 0) left.splice(at, 1);
		return at < 0;
	});
}

/** Resident memory of a process, bytes. */
export function residentBytesOf(pid: number): number {
	const [, kib = "NaN"] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
	return Number(kib) * 1024;
}

function namespacesOf(pid: string): readonly string[] {
	return NAMESPACES.flatMap((kind) => linkOf(`/proc/${pid}/ns/${kind}`));
}

function descriptorsOf(name: ProcessName, pid: number): readonly (readonly [string, number])[] {
	const counts = new Map<string, number>();
	for (const fd of namesIn(`/proc/${pid}/fd`)) {
		for (const target of linkOf(`/proc/${pid}/fd/${fd}`)) {
			// How many connections callers keep open is theirs to say.
			if (name === "gateway" && target.startsWith("socket:")) continue;
			const kind = `${name} ${target.replace(/\[\d+\]$/, "").replace(/\b(sb|inv)_\w+/g, "$1_…")}`;
			counts.set(kind, (counts.get(kind) ?? 0) + 1);
		}
	}
	return [...counts];
}

/** A process, or what it had open, may end while it is looked at. */
function linkOf(path: string): readonly string[] {
	try {
		return [readlinkSync(path)];
	} catch {
		return [];
	}
}
