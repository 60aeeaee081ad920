import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fetchGuestParts } from "../harness/guest/debian.js";
import { guestDirectory } from "../harness/guest/directory.js";
import { makeEngineImage } from "../harness/guest/engine-image.js";
import { Guest } from "../harness/guest/guest.js";
import { makeInitramfs } from "../harness/guest/initramfs.js";

const MIB = 1024 * 1024;
/** A guest is ended after this: an emulated machine takes twenty times as long as the one that it runs on. */
const BOUND_MS = 6 * 60_000;

/** What the ordinary suite has time for: a minute of an emulated machine's. */
const CORE = ["up", "limits", "confined", "memory", "tasks", "burns", "frozen", "killed", "orphans", "down"];
const EVERYTHING = [...CORE, "refusals", "strays", "limits-runc", "memory-runc"];
const CHECKS = process.env["TEST_CGROUP2"] === "1" ? EVERYTHING : CORE;
const those = (...names: readonly string[]) => names.filter((name) => CHECKS.includes(name));

/** What a check in the guest said: a value, or why it has none. */
interface Said {
	readonly value?: unknown;
	readonly error?: string;
}

interface Limits {
	readonly start: string;
	readonly outcome: string;
	readonly usage: { readonly cpuMs: number; readonly peakMemoryBytes: number };
	readonly before: Readonly<Record<string, string>>;
	readonly after: Readonly<Record<string, string>>;
	readonly delegated: readonly string[];
	readonly writable: readonly string[];
}

/** A launcher and a worker's pool in an emulated machine whose kernel has cgroup v2 alone: most hosts are such, and this one may not be. */
describe.skipIf(process.arch !== "x64")("on a host with cgroup v2 alone", () => {
	let directory: string;
	let complaints = "";
	const said = new Map<string, Said>();
	beforeAll(async () => {
		directory = await guestDirectory();
		const parts = await fetchGuestParts();
		const files = { image: join(directory, "image"), initramfs: join(directory, "initramfs"), console: join(directory, "console") };
		await makeEngineImage(files.image, join(directory, "root"), parts);
		await makeInitramfs(files.initramfs, join(directory, "early"), parts);
		const machine = {
			program: "/berth/main.mjs",
			cgroups: "v2",
			runtime: "crun",
			checks: CHECKS,
			memoryMiB: 1536,
			boundMs: BOUND_MS,
		} as const;
		await using guest = new Guest({ parts, ...files, ...machine });
		for await (const { check, ...rest } of guest.lines()) said.set(String(check), rest);
		complaints = (await readFile(files.console, "utf8")).slice(-3000);
	}, BOUND_MS + 60_000);
	afterAll(async () => {
		if (directory !== undefined) await rm(directory, { recursive: true, force: true });
	});

	function saidOf<T>(check: string): T {
		const { value, error } = said.get(check) ?? { error: "the guest never got there" };
		if (error !== undefined) throw new Error(`${check}: ${error}\nIts console: ${complaints}`);
		return value as T;
	}

	it.each(those("refusals"))(
		"refuses one that can't count memory or tasks, or whose cgroups can't be written, and says what to do",
		(check) => {
			const { lacking, readOnly } = saidOf<{ lacking: string; readOnly: string }>(check);
			expect(lacking).toContain("cgroup v2 lacks the controllers memory: delegate");
			expect(readOnly).toContain("can't be handed down in /sys/fs/cgroup (EROFS): cgroups are mounted read-only");
		},
	);

	it("hands controllers down where nobody has yet, and puts the platform before its sandboxes", () => {
		const { handedDown, cgroups, weights, own, unloaded } = saidOf<Record<string, unknown>>("up");
		expect({ handedDown, cgroups, weights }).toEqual({ handedDown: "", cgroups: "v2", weights: { platform: 800, whole: 200 } });
		expect(own).toMatch(/^0::\/berth-[0-9a-f]{8}\/platform$/);
		expect(unloaded).toMatch(/AppArmor has no profile berth-sandbox loaded: `apparmor_parser -r -K`/);
	});

	it("has sandboxes under AppArmor's profile, in which functions run, and which keeps them from what nothing else does", () => {
		const { outcome, read, list, write, interfaces } = saidOf<Record<string, Record<string, string>>>("confined");
		expect({ outcome, list, interfaces }).toEqual({
			outcome: "succeeded",
			list: { "/function/code": expect.any(Array) },
			interfaces: ["lo"],
		});
		expect(read).toEqual({ "/proc/self/attr/current": "berth-sandbox (enforce)\n", "/proc/self/oom_score_adj": "1000\n" });
		expect(write).toEqual({ "/tmp/x": "written", "/proc/self/oom_score_adj": "EACCES", "/proc/self/clear_refs": "EACCES" });
	});

	it.each(those("limits", "limits-runc"))("has every limit written, before a sandbox knows its function and after (%s)", (check) => {
		const { start, outcome, before, after, usage } = saidOf<Limits>(check);
		const always = { "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "64" };
		expect(before).toMatchObject({ ...always, "memory.max": String(256 * MIB), "cpu.max": "100000 100000" });
		expect({ start, outcome }).toEqual({ start: "prewarmed", outcome: "succeeded" });
		expect(after).toMatchObject({ ...always, "memory.max": String(320 * MIB), "cpu.max": "50000 100000" });
		expect(usage.cpuMs).toBeGreaterThan(0);
		expect(usage.peakMemoryBytes).toBeGreaterThan(10 * MIB);
	});

	it.each(those("limits", "limits-runc"))(
		"lets the worker freeze a sandbox and weigh it, and write nothing else of its cgroup (%s)",
		(check) => {
			const { delegated, writable } = saidOf<Limits>(check);
			expect(delegated).toEqual(["cgroup.freeze", "cpu.weight"]);
			expect(writable.toSorted()).toEqual(["cgroup.freeze", "cpu.weight"]);
		},
	);

	it.each(those("memory", "memory-runc"))("ends a whole sandbox when one of its processes has all of its memory (%s)", (check) => {
		expect(saidOf(check)).toMatchObject({
			outcome: "out_of_memory",
			limitsHit: ["memory"],
			error: "the kernel ended it at its memory limit of 256 MiB",
			processes: 0,
		});
	});

	it("holds a function to its cap of tasks, and says so", () => {
		const { outcome, limitsHit, answer } = saidOf<Record<string, string>>("tasks");
		expect({ outcome, limitsHit }).toEqual({ outcome: "succeeded", limitsHit: ["pids"] });
		expect(JSON.parse(answer as string)).toMatchObject({ code: "EAGAIN" });
	});

	it("kills at its deadline what blocks its agent, and has nothing of it left when that is told", () => {
		expect(saidOf("burns")).toMatchObject({ outcome: "timed_out", processes: 0 });
	});

	it.each(those("strays"))("keeps no sandbox in which a process was left behind", (check) => {
		const { outcome, gone } = saidOf<Record<string, unknown>>(check);
		expect({ outcome, gone }).toEqual({ outcome: "succeeded", gone: true });
	});

	it("uses no CPU time in a frozen sandbox, which serves again, and comes first while it uses little", () => {
		const { files, ticks, outcomes, same, weights } = saidOf<Record<string, unknown>>("frozen");
		expect(files).toMatchObject({ "cgroup.freeze": "1", "cgroup.events": expect.stringContaining("frozen 1") });
		expect({ ticks, outcomes, same }).toEqual({ ticks: 0, outcomes: ["succeeded", "succeeded"], same: true });
		const { booted, light } = weights as { booted: number; light: number };
		expect(light).toBeGreaterThan(booted);
	});

	it("kills a frozen sandbox as it is", () => {
		const { before, after } = saidOf<{ before: number; after: number }>("killed");
		expect(before).toBeGreaterThan(1);
		expect(after).toBe(0);
	});

	it("keeps nothing of a launcher and a worker that were killed, whatever their sandboxes did", () => {
		const { ended, frozen, processes, left, removed, after, runtime } = saidOf<Record<string, unknown>>("orphans");
		expect({ ended, after }).toEqual({ ended: "SIGKILL", after: [] });
		expect(runtime).toMatch(/^runc /);
		expect(removed).toBe(left);
		expect(left).toBeGreaterThan(2);
		expect(frozen).toBeGreaterThan(0);
		expect(processes).toBeGreaterThan(5);
	});

	it("has nothing left when it is down", () => {
		expect(saidOf("down")).toEqual({ ended: 0, cgroups: [], left: [] });
	});
});
