import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fetchGuestParts, type GuestParts } from "../harness/guest/debian.js";
import { guestDirectory } from "../harness/guest/directory.js";
import { Guest, type GuestSpec } from "../harness/guest/guest.js";
import { makeInitramfs } from "../harness/guest/initramfs.js";
import { makeRootImage } from "../harness/guest/root-image.js";

const MINUTE_MS = 60_000;
const MIB = 1024 * 1024;
/** Emulation takes twenty to thirty times as long as the machine itself; a guest is ended after this. */
const BOUND_MS = 25 * MINUTE_MS;

/** What a check said: a value, or why it has none. */
interface Said {
	readonly value?: unknown;
	readonly error?: string;
}

interface Limits {
	readonly start: string;
	readonly usage: { readonly cpuMs: number; readonly peakMemoryBytes: number };
	readonly before: Readonly<Record<string, string>>;
	readonly after: Readonly<Record<string, string>>;
	readonly delegated: readonly string[];
}

let directory: string;
let parts: GuestParts;
beforeAll(async () => {
	directory = await guestDirectory();
	parts = await fetchGuestParts();
	await makeRootImage(join(directory, "root.img"), join(directory, "root"), parts);
	await makeInitramfs(join(directory, "initramfs"), join(directory, "early"), parts);
}, 5 * MINUTE_MS);
afterAll(async () => {
	if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

/** Boots a machine, lets it run its checks, and gives what they said. */
async function checked(asked: Pick<GuestSpec, "cgroups" | "runtime" | "checks">): Promise<ReadonlyMap<string, Said>> {
	const console = join(directory, `${asked.cgroups}.console`);
	const files = { initramfs: join(directory, "initramfs"), image: join(directory, "root.img"), console };
	const program = "/berth/test/harness/main.mjs";
	await using guest = new Guest({ parts, ...files, ...asked, program, memoryMiB: 3072, boundMs: BOUND_MS });
	const said = new Map<string, Said>();
	for await (const { check, ...rest } of guest.lines()) said.set(String(check), rest);
	if (said.size === 0) throw new Error(`the guest said nothing; its console: ${(await readFile(console, "utf8")).slice(-2000)}`);
	return said;
}

/** On v2: nothing else of the cgroup is the worker's, and a kill for memory takes the whole sandbox. */
const V2 = {
	limits: {
		"memory.max": String(128 * MIB),
		"memory.swap.max": "0",
		"memory.oom.group": "1",
		"cpu.max": "100000 100000",
		"pids.max": "64",
	},
	specialised: { "memory.max": String(192 * MIB), "memory.swap.max": "0", "memory.oom.group": "1", "cpu.max": "50000 100000" },
	frozen: { "cgroup.freeze": "1", "cgroup.events": expect.stringContaining("frozen 1") },
	delegated: ["cgroup.freeze", "cpu.weight", "cpuset.cpus"],
} as const;

const V1 = {
	limits: {
		"memory.limit_in_bytes": String(128 * MIB),
		"memory.memsw.limit_in_bytes": String(128 * MIB),
		"cpu.cfs_quota_us": "100000",
		"pids.max": "64",
	},
	specialised: {
		"memory.limit_in_bytes": String(192 * MIB),
		"memory.memsw.limit_in_bytes": String(192 * MIB),
		"cpu.cfs_quota_us": "50000",
	},
	frozen: { "freezer.state": "FROZEN" },
	delegated: ["freezer.state", "cpu.shares", "cpuset.cpus"],
} as const;

/** How a fixture's function ends. */
const ENDINGS = {
	heap: "out_of_memory",
	buffers: "out_of_memory",
	scratch: "out_of_memory",
	burns: "timed_out",
	exits: "crashed",
	aborts: "crashed",
} as const;

/** What is asked of every host; the one that most users have is asked everything. */
const ESSENTIAL = ["doctor", "limits", "buffers", "burns", "frozen"];
const EVERYTHING = [...ESSENTIAL, ...Object.keys(ENDINGS), "forks", "launcher", "internet", "allow", "volume"];
/** By their names, with commas between them: whoever mends one doesn't wait for the others. */
const ONLY = process.env["TEST_GUEST_CHECKS"]?.split(",");

const HOSTS = [
	{ host: "cgroup v2 alone, with crun", cgroups: "v2", runtime: "crun", checks: EVERYTHING, files: V2, found: "cgroup v2" },
	{
		host: "v2 seen from a container, with runc",
		cgroups: "nested",
		runtime: "runc",
		checks: ESSENTIAL,
		files: V2,
		found: "inside a container",
	},
	{ host: "v1 alone as systemd mounts it, with crun", cgroups: "v1", runtime: "crun", checks: ESSENTIAL, files: V1, found: "cgroup v1" },
] as const;

describe.skipIf(process.arch !== "x64").each(HOSTS)("a host with cgroup $host", ({ cgroups, runtime, files, found, ...host }) => {
	const checks = host.checks.filter((check) => ONLY?.includes(check) ?? true);
	/** For what a check says, on a host that is asked for it. */
	function itSays(check: string, name: string, look: () => void): void {
		if (host.checks.some((each) => each === check)) it.skipIf(!checks.includes(check))(name, look);
	}
	let said: ReadonlyMap<string, Said>;
	beforeAll(async () => {
		said = await checked({ cgroups, runtime, checks });
	}, BOUND_MS + MINUTE_MS);

	function saidOf<T>(check: string): T {
		const { value, error } = said.get(check) ?? { error: "the guest never got there" };
		if (error !== undefined) throw new Error(`${check}: ${error}`);
		return value as T;
	}

	it("starts a stack", () => {
		expect(saidOf("up")).toBeUndefined();
	});

	itSays("doctor", "has a doctor that finds nothing missing, for networks and volumes neither", () => {
		const examined = saidOf<{ checks: readonly { name: string; status: string; found: string }[] }>("doctor").checks;
		expect(examined.filter(({ status }) => status === "failed")).toEqual([]);
		const optional = examined.filter(({ name }) => ["networks", "volumes"].includes(name));
		expect(optional.map(({ name, status }) => [name, status])).toEqual([
			["networks", "ok"],
			["volumes", "ok"],
		]);
		expect(examined.find(({ name }) => name === "cgroups")?.found).toContain(found);
	});

	itSays("limits", "has every limit written, before a sandbox knows its function and after", () => {
		const { start, before, after, usage } = saidOf<Limits>("limits");
		expect(before).toMatchObject(files.limits);
		expect(start).toBe("prewarmed");
		expect(after).toMatchObject(files.specialised);
		expect(usage.cpuMs).toBeGreaterThan(0);
		expect(usage.peakMemoryBytes).toBeGreaterThan(10 * MIB);
	});

	itSays("limits", "lets the worker freeze a sandbox and weigh it, and write nothing else of its cgroup", () => {
		expect(saidOf<Limits>("limits").delegated).toEqual(files.delegated);
	});

	it.each(Object.entries(ENDINGS).filter(([check]) => checks.includes(check)))(
		"tells why a function ended (%s: %s), and leaves nothing of it",
		(check, outcome) => {
			expect(saidOf(check)).toMatchObject({ outcome, processes: 0 });
		},
	);

	itSays("forks", "holds a function that forks to its cap of tasks, and says so", () => {
		const { outcome, limitsHit } = saidOf<{ outcome: string; limitsHit: readonly string[] }>("forks");
		expect(["succeeded", "timed_out", "out_of_memory", "crashed"]).toContain(outcome);
		if (outcome === "succeeded") expect(limitsHit).toContain("pids");
	});

	itSays("frozen", "uses no CPU time in a frozen sandbox, which serves again", () => {
		const frozen = saidOf<{ files: Record<string, string>; ticks: number; thawed: boolean }>("frozen");
		expect(frozen.files).toMatchObject(files.frozen);
		expect(frozen).toMatchObject({ ticks: 0, thawed: true });
	});

	itSays("launcher", "keeps no sandbox of a launcher that was killed", () => {
		const { before, processes } = saidOf<{ before: number; processes: number }>("launcher");
		expect(before).toBeGreaterThan(0);
		expect(processes).toBe(0);
	});

	itSays(
		"internet",
		"lets a function with `network: internet` out, to private networks and its host not, and one without to nothing",
		() => {
			expect(saidOf("internet")).toEqual({ seenAsHost: true, refused: [true, true, true] });
		},
	);

	itSays("allow", "lets a function with `network: {allow}` reach what it names, and says in its log what was refused", () => {
		expect(saidOf("allow")).toEqual({
			allowed: { reached: true, limitsHit: [] },
			denied: {
				text: "ENOTFOUND",
				limitsHit: ["egress"],
				lines: ["berth: evil.example was refused: the function's network.allow doesn't have it"],
			},
			leadsInside: ["berth: private.example:80 was refused: it leads to an address that isn't public"],
		});
	});

	itSays("volume", "has volumes that end at their size, stay when a sandbox is killed, and are gone when they are removed", () => {
		expect(saidOf("volume")).toEqual({
			...{ code: "ENOSPC", fits: true, kept: "before", other: true, devices: 1 },
			mount: "rw,nosuid,nodev,noexec,noatime,idmapped",
		});
	});

	it("has nothing left of the stack when it is down", () => {
		expect(saidOf("down")).toBeUndefined();
	});
});
