import { type BootRequest, MIB } from "@berth/contracts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { containerSpec, cpuQuotaUs, type SandboxPlace, UID_RANGE } from "./container-spec.js";
import { digest } from "./testing/versions.js";

const BOOT: BootRequest = {
	sandbox: `sb_${"0".repeat(26)}`,
	base: [digest("1")],
	kind: "function",
	program: { language: "node", oldSpaceMiB: 68, semiSpaceMiB: 4 },
	limits: { memoryBytes: 128 * MIB, cpuMilli: 1500, pids: 64, tmpfsBytes: 64 * MIB, tmpfsInodes: 1024 },
	network: "none",
};
const PLACE: SandboxPlace = {
	rootfs: "/data/bases/1",
	graft: "/data/sandboxes/x/graft",
	tmp: "/data/sandboxes/x/tmp",
	socket: "/data/sandboxes/x/agent.sock",
	cgroup: "/berth-1/x",
	uidBase: 0x7000_0000,
	cgroupVersion: 1,
	arch: "x64",
};
/** What else sandboxes are for than functions of Node. */
const OTHERS: readonly (readonly [string, Partial<BootRequest>])[] = [
	["a function of Python's", { program: { language: "python" } }],
	["a tenant's image", { program: { language: "custom" }, own: [digest("2")], ownIsRoot: true }],
	["a build", { kind: "build" }],
	["install scripts", { kind: "scripts" }],
];
const spec = containerSpec(BOOT, PLACE);
const mount = (destination: string) => spec.mounts.find((each) => each.destination === destination);

describe("a sandbox's first process", () => {
	test("has no capability in any set, and can't gain one", () => {
		expect(spec.process.capabilities).toEqual({ bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] });
		expect(spec.process.noNewPrivileges).toBe(true);
	});

	test("is under AppArmor's profile where there is one, unless it is gVisor's", () => {
		expect(spec.process).not.toHaveProperty("apparmorProfile");
		const place = { ...PLACE, apparmorProfile: "berth-sandbox" };
		expect(containerSpec(BOOT, place).process).toEqual({ ...spec.process, apparmorProfile: "berth-sandbox" });
		expect(containerSpec({ ...BOOT, runtimeClass: "runsc" }, place).process).not.toHaveProperty("apparmorProfile");
	});

	test.each(OTHERS)("is under it in the sandbox of %s, too", (_, boot) => {
		const place = { ...PLACE, apparmorProfile: "berth-sandbox" };
		expect(containerSpec({ ...BOOT, ...boot }, place).process).toHaveProperty("apparmorProfile", "berth-sandbox");
	});

	test("isn't root, inside or outside, and is the first that the kernel ends when memory is short", () => {
		expect(spec.process.user).toEqual({ uid: 1000, gid: 1000, umask: 0o077 });
		expect(spec.process.oomScoreAdj).toBe(1000);
	});

	test("has every rlimit once, hard as soft", () => {
		const limits = Object.fromEntries(spec.process.rlimits.map(({ type, hard, soft }) => [type, hard === soft ? hard : Number.NaN]));
		expect(limits).toEqual({
			RLIMIT_NOFILE: 512,
			RLIMIT_CORE: 0,
			RLIMIT_FSIZE: 1024 * MIB,
			RLIMIT_MEMLOCK: 64 * 1024,
			RLIMIT_MSGQUEUE: 0,
			RLIMIT_SIGPENDING: 256,
			RLIMIT_STACK: 8 * MIB,
		});
		expect(spec.process.rlimits).toHaveLength(7);
	});

	test("is an init that runs our agent, with the heap of its class; a build's has the builder, too", () => {
		expect(spec.process.args).toEqual([
			"/sbin/tini",
			"--",
			"/usr/bin/node",
			"--max-old-space-size=68",
			"--max-semi-space-size=4",
			"/berth/agent.cjs",
		]);
		expect(containerSpec({ ...BOOT, kind: "build" }, PLACE).process.args.at(-1)).toBe("/berth/builder/builder.cjs");
	});

	test("starts from an empty environment: nothing of ours, no secret", () => {
		expect(spec.process.env.map((pair) => pair.split("=")[0])).toEqual(["PATH", "HOME", "LANG", "TMPDIR", "UV_THREADPOOL_SIZE"]);
	});
});

describe("a sandbox's namespaces", () => {
	test("are all its own, each of them empty or new: none is joined by path", () => {
		expect(spec.linux.namespaces).toEqual(["pid", "mount", "ipc", "uts", "network", "cgroup", "user"].map((type) => ({ type })));
	});

	test("map a range of host ids that is nobody else's, host root not among them", () => {
		for (const mappings of [spec.linux.uidMappings, spec.linux.gidMappings]) {
			expect(mappings).toEqual([{ containerID: 0, hostID: PLACE.uidBase, size: UID_RANGE }]);
		}
	});
});

describe("a sandbox's files", () => {
	test("let nothing be executed that was written, but where packages' scripts run", () => {
		const scratch = (kind: "function" | "build" | "scripts") =>
			containerSpec({ ...BOOT, kind }, PLACE).mounts.find(({ destination }) => destination === "/tmp")?.options;
		expect([scratch("function"), scratch("build")]).toEqual(Array(2).fill(expect.arrayContaining(["noexec", "nosuid", "nodev"])));
		expect(scratch("scripts")).toEqual(["bind", "rw", "nosuid", "nodev"]);
	});

	test("are read-only, but for /tmp", () => {
		expect(spec.root).toEqual({ path: PLACE.rootfs, readonly: true });
		const writable = spec.mounts.filter(({ options, type }) => type === "bind" && !options.includes("ro"));
		expect(writable.map(({ destination }) => destination)).toEqual(["/tmp"]);
	});

	test("have no device and no set-user-id, and run nothing that was written there", () => {
		for (const { destination, options } of spec.mounts) {
			expect(options).toContain("nosuid");
			if (destination !== "/dev") expect(options).toContain("nodev");
			if (destination !== "/function") expect(options).toContain("noexec");
		}
		expect(mount("/dev")?.options).toContain("size=64k");
	});

	test("hide other users' processes; there is no /sys, cgroupfs, mqueue or /dev/shm", () => {
		expect(mount("/proc")?.options).toContain("hidepid=2");
		expect(spec.mounts.map(({ destination }) => destination)).toEqual(["/proc", "/dev", "/tmp", "/function", "/run/berth/agent.sock"]);
	});

	test("see a function that is grafted in later, and can't send mounts back", () => {
		expect(mount("/function")?.options).toContain("rslave");
		expect(spec.linux.rootfsPropagation).toBe("rslave");
	});

	test("see a function that is there from the boot on by a mount of its own, read-only", () => {
		const code = containerSpec({ ...BOOT, own: [digest("2")] }, PLACE).mounts.filter(({ destination }) =>
			destination.startsWith("/function"),
		);
		expect(code.map(({ destination, source }) => [destination, source])).toEqual([
			["/function", PLACE.graft],
			["/function/code", `${PLACE.graft}/code`],
		]);
		expect(code[1]?.options).toContain("ro");
	});

	test("in /proc that tell of the host or change it are masked or read-only", () => {
		const masked = ["acpi", "asound", "interrupts", "kcore", "keys", "key-users", "kallsyms", "config.gz", "cmdline", "modules"];
		const more = ["latency_stats", "pressure", "sched_debug", "scsi", "timer_list", "timer_stats", "sysrq-trigger"];
		for (const name of [...masked, ...more]) expect(spec.linux.maskedPaths).toContain(`/proc/${name}`);
		expect(spec.linux.readonlyPaths).toEqual(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"]);
	});
});

describe("a sandbox's resources", () => {
	test("are capped, every one: memory and swap together, CPU, pids; no device", () => {
		const { memory, cpu, pids, devices } = spec.linux.resources;
		expect(memory).toEqual({ limit: 128 * MIB, swap: 128 * MIB });
		expect(cpu).toEqual({ shares: 256, quota: 150_000, period: 100_000 });
		expect(pids).toEqual({ limit: 64 });
		expect(devices).toEqual([{ allow: false, access: "rwm" }]);
	});

	test("end as a whole when memory is out, where the kernel can do that", () => {
		const on = (cgroupVersion: 1 | 2) => containerSpec(BOOT, { ...PLACE, cgroupVersion }).linux.resources.unified;
		expect([on(1), on(2)]).toEqual([undefined, { "memory.oom.group": "1" }]);
	});

	test("that the host can't enforce, and its operator does without, are left out, and nothing else is", () => {
		const without = containerSpec(BOOT, { ...PLACE, unenforced: ["swap", "pids", "seccomp"] });
		expect(without.linux.resources).toEqual({ ...spec.linux.resources, memory: { limit: 128 * MIB }, pids: undefined });
		expect(without.linux.seccomp).toBeUndefined();
		const { resources, seccomp } = spec.linux;
		expect({ ...without, linux: { ...without.linux, resources, seccomp } }).toEqual(spec);
	});

	test("of the CPU are never less than the kernel takes, and in proportion above that", () => {
		expect([1, 10, 50, 1000, 16_000].map(cpuQuotaUs)).toEqual([1000, 1000, 5000, 100_000, 1_600_000]);
	});
});

const numbers = fc.record({ memoryBytes: fc.nat(), cpuMilli: fc.nat(16_000), pids: fc.nat(), tmpfsBytes: fc.nat(), tmpfsInodes: fc.nat() });

test("nothing that a tenant chooses changes anything but numbers: no path, argument, mount or name", () => {
	const shape = (value: unknown) => JSON.stringify(value, (_key, each: unknown) => (typeof each === "number" ? 0 : each));
	fc.assert(
		fc.property(numbers, fc.string(), (limits, sandbox) => {
			expect(shape(containerSpec({ ...BOOT, sandbox, limits }, PLACE))).toBe(shape(spec));
		}),
	);
});

test("the runtime spec's rules for a config.json are kept: version, absolute paths, known types", () => {
	expect(spec.ociVersion).toMatch(/^1\.\d+\.\d+$/);
	for (const path of [spec.root.path, spec.process.cwd, ...spec.mounts.map(({ destination }) => destination), ...spec.linux.maskedPaths]) {
		expect(path).toMatch(/^\//);
	}
	expect(new Set(spec.linux.namespaces.map(({ type }) => type)).size).toBe(spec.linux.namespaces.length);
	expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
});

test("gVisor has room for its own tasks beside those of a function, and nothing else of its limits is other", () => {
	const { resources } = containerSpec({ ...BOOT, runtimeClass: "runsc", own: [digest("2")] }, PLACE).linux;
	expect(resources.pids?.limit).toBeGreaterThan(BOOT.limits.pids + 100);
	expect({ ...resources, pids: spec.linux.resources.pids }).toEqual(spec.linux.resources);
});
