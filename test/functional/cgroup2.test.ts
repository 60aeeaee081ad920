import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROMISES } from "../conformance/promises.js";
import { eachPromise, type Said } from "../conformance/suite.js";
import { fetchGuestParts } from "../harness/guest/debian.js";
import { guestDirectory } from "../harness/guest/directory.js";
import { makeEngineImage } from "../harness/guest/engine-image.js";
import { Guest } from "../harness/guest/guest.js";
import { makeInitramfs } from "../harness/guest/initramfs.js";

const MIB = 1024 * 1024;
/** What the ordinary suite has time for: a minute of an emulated machine's. Of an engine's promises, what cgroups have a hand in. */
const CORE = ["up", "limits", "confined", "wholly", "resting", "deadline", "tasks", "cpus", "restkill", "killed"];
/** `down` is tried in any case. */
const KEYS = PROMISES.map(({ key }) => key).filter((key) => key !== "down");
const AGAIN = KEYS.map((key) => `runc-${key}`);
const EVERYTHING = [...CORE, "refusals", "runc-limits", "runc-wholly", ...KEYS, ...AGAIN];
const isWhole = process.env["TEST_CGROUP2"] === "1";
const CHECKS = isWhole ? EVERYTHING : CORE;
/** A guest is ended after this: an emulated machine takes twenty times as long as the one that it runs on. */
const BOUND_MS = (isWhole ? 30 : 12) * 60_000;
const those = (...names: readonly string[]) => names.filter((name) => CHECKS.includes(name));

const NEVER: Said = { error: "the guest never got there" };

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
		const { value, error } = said.get(check) ?? NEVER;
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
		const { outcome, read, list, write } = saidOf<Record<string, Record<string, string>>>("confined");
		expect({ outcome, list }).toEqual({ outcome: "succeeded", list: { "/function/code": expect.any(Array) } });
		expect(read).toEqual({ "/proc/self/attr/current": "berth-sandbox (enforce)\n", "/proc/self/oom_score_adj": "1000\n" });
		expect(write).toEqual({ "/tmp/x": "written", "/proc/self/oom_score_adj": "EACCES", "/proc/self/clear_refs": "EACCES" });
	});

	it.each(those("limits", "runc-limits"))("has every limit written, before a sandbox knows its function and after (%s)", (check) => {
		const { start, outcome, before, after, usage } = saidOf<Limits>(check);
		const always = { "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "64" };
		expect(before).toMatchObject({ ...always, "memory.max": String(256 * MIB), "cpu.max": "100000 100000" });
		expect({ start, outcome }).toEqual({ start: "prewarmed", outcome: "succeeded" });
		expect(after).toMatchObject({ ...always, "memory.max": String(320 * MIB), "cpu.max": "50000 100000" });
		expect(usage.cpuMs).toBeGreaterThan(0);
		expect(usage.peakMemoryBytes).toBeGreaterThan(10 * MIB);
	});

	it.each(those("limits", "runc-limits"))(
		"lets the worker freeze a sandbox, weigh it and say which CPUs it has, and write nothing else of its cgroup (%s)",
		(check) => {
			const { delegated, writable } = saidOf<Limits>(check);
			expect(delegated).toEqual(["cgroup.freeze", "cpu.weight", "cpuset.cpus"]);
			expect(writable.toSorted()).toEqual(["cgroup.freeze", "cpu.weight", "cpuset.cpus"]);
		},
	);

	it.each(those("wholly", "runc-wholly"))("ends a whole sandbox when one of its processes has all of its memory (%s)", (check) => {
		expect(saidOf(check)).toMatchObject({
			outcome: "out_of_memory",
			limitsHit: ["memory"],
			error: "the kernel ended it at its memory limit of 256 MiB",
			processes: 0,
		});
	});

	it("has a frozen sandbox as the kernel says it, and one that uses little comes first", () => {
		const { files, weights } = saidOf<{ files: object; weights: { booted: number; light: number } }>("resting");
		expect(files).toMatchObject({ "cgroup.freeze": "1", "cgroup.events": expect.stringContaining("frozen 1") });
		expect(weights.light).toBeGreaterThan(weights.booted);
	});

	describe("as every engine (crun)", () => {
		const tried = PROMISES.filter(({ key }) => CHECKS.includes(key));
		eachPromise("oci/crun", (key) => said.get(key) ?? NEVER, tried);
	});

	describe.runIf(CHECKS.includes("runc-start"))("as every engine (runc, after a launcher that drove crun was killed)", () => {
		const tried = PROMISES.filter(({ key }) => CHECKS.includes(`runc-${key}`));
		eachPromise("oci/runc", (key) => said.get(`runc-${key}`) ?? NEVER, tried);
	});

	it("has nothing left when it is down", () => {
		expect(saidOf("down")).toEqual({ cgroups: [], left: [] });
	});
});
