import { beforeAll, describe, expect, it } from "vitest";
import { type Deployed, deploy, fixture } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

interface View {
	readonly status: string;
	readonly limits: string;
	readonly mounts: string;
	readonly uidMap: string;
	readonly pids: readonly string[];
	readonly env: Readonly<Record<string, string>>;
	readonly root: readonly string[];
	readonly devices: readonly string[];
	readonly fds: Readonly<Record<string, string>>;
	readonly interfaces: Readonly<Record<string, readonly { readonly internal: boolean }[]>> | string;
	readonly read: Readonly<Record<string, string>>;
	readonly list: Readonly<Record<string, readonly string[] | string>>;
	readonly write: Readonly<Record<string, string>>;
	readonly modes: Readonly<Record<string, string>>;
	readonly uids: readonly [number, number, number, readonly number[]];
}

/** Files that the kernel shows or hides: reading them must fail, or give nothing. */
const MASKED = [
	"/proc/kcore",
	"/proc/kallsyms",
	"/proc/keys",
	"/proc/key-users",
	"/proc/timer_list",
	"/proc/sched_debug",
	"/proc/interrupts",
	"/proc/modules",
	"/proc/cmdline",
	"/proc/config.gz",
	"/proc/latency_stats",
];
const ABSENT = [
	"/sys",
	"/sys/fs/cgroup",
	"/sys/kernel",
	"/dev/kmsg",
	"/dev/mem",
	"/dev/kvm",
	"/dev/fuse",
	"/dev/sda",
	"/dev/mqueue",
	"/var/run/docker.sock",
	"/run/containerd/containerd.sock",
	"/run/dbus/system_bus_socket",
	"/var/lib",
	"/etc/shadow",
	"/root",
	"/home",
];
const UNWRITABLE = [
	"/x",
	"/usr/bin/node",
	"/usr/x",
	"/etc/x",
	"/berth/agent.cjs",
	"/berth/x",
	"/function/x",
	"/function/code/index.mjs",
	"/run/x",
	"/dev/x",
	"/proc/sysrq-trigger",
	"/proc/sys/kernel/core_pattern",
	"/proc/sys/kernel/hostname",
	"/proc/sys/vm/drop_caches",
];

let deployed: Deployed;
let view: View;
beforeAll(async () => {
	deployed = await deploy(stack, { source: fixture("looks-around") });
	view = await deployed.result<View>({ read: [...MASKED, "/proc/1/environ"], list: ABSENT, write: UNWRITABLE });
});

function statusOf(field: string): string | undefined {
	return new RegExp(`^${field}:\\s*(.*)$`, "m").exec(view.status)?.[1];
}

describe("the process of a function", () => {
	it("is an ordinary user in a user namespace whose ids are nobody's on the host", () => {
		expect(view.uids).toEqual([1000, 1000, 1000, [1000]]);
		const [, inside, outside, size] = /^\s*(\d+)\s+(\d+)\s+(\d+)/.exec(view.uidMap) ?? [];
		expect([inside, size]).toEqual(["0", "65536"]);
		expect(Number(outside)).toBeGreaterThanOrEqual(0x7000_0000);
	});

	it("has no capability in any of the five sets, and can't gain one", () => {
		for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) expect([set, statusOf(set)]).toEqual([set, "0000000000000000"]);
		expect(statusOf("NoNewPrivs")).toBe("1");
	});

	it("runs under a system call filter", () => {
		expect(statusOf("Seccomp")).toBe("2");
		expect(Number(statusOf("Seccomp_filters"))).toBeGreaterThanOrEqual(1);
	});

	it("has its limits: descriptors, core files, locked memory, signals, stack", () => {
		for (const [name, limit] of [
			["Max open files", "512 +512"],
			["Max core file size", "0 +0"],
			["Max locked memory", "65536 +65536"],
			["Max msgqueue size", "0 +0"],
			["Max pending signals", "256 +256"],
			["Max stack size", "8388608 +8388608"],
		] as const) {
			expect(view.limits).toMatch(new RegExp(`^${name} +${limit} `, "m"));
		}
		expect(view.limits).not.toMatch(/^Max file size +unlimited/m);
	});

	it("is the first to go when the machine's memory is short", async () => {
		const { read } = await deployed.result<View>({ read: ["/proc/self/oom_score_adj"] });
		expect(read["/proc/self/oom_score_adj"]?.trim()).toBe("1000");
	});

	it("has no descriptor but its standard ones, the agent's socket, and Node's own anonymous ones", () => {
		const named = Object.values(view.fds).filter((target) => target.startsWith("/"));
		for (const target of named) expect(target).toMatch(/^\/dev\/null$|^\/proc\/\d+\/fd$|\/sb_[0-9a-z]{26}\.(?:out|err)$/);
		const sockets = Object.values(view.fds).filter((target) => target.startsWith("socket:"));
		expect(sockets).toHaveLength(1);
		expect(view.fds["1"]).toMatch(/^pipe:|^\/(?:.*)\.out$/);
	});

	it("sees only its own processes", () => {
		expect(view.pids.length).toBeLessThanOrEqual(2);
		expect(Number(view.pids.at(-1))).toBeLessThan(100);
		expect(view.read["/proc/1/environ"]).toMatch(/^E(?:ACCES|PERM|NOENT)$|^$|^PATH=\/usr\/bin:\/bin\0/);
	});

	it("has an environment made from nothing: no variable of the host's or of the platform's", () => {
		const expected = ["HOME", "LANG", "PATH", "TMPDIR", "UV_THREADPOOL_SIZE"];
		expect(Object.keys(view.env).sort()).toEqual(expected);
	});
});

describe("the file system of a function", () => {
	it.each(UNWRITABLE)("can't be written at %s", (path) => {
		expect(view.write[path]).toMatch(/^E(?:ROFS|ACCES|PERM|NOENT|TXTBSY)$/);
	});

	it.each(ABSENT)("has no %s", (path) => {
		expect(view.list[path]).toMatch(/^ENOENT$|^ENOTDIR$|^EACCES$/);
	});

	it.each(MASKED)("shows nothing in %s", (path) => {
		expect(view.read[path]).toMatch(/^$|^E(?:ACCES|PERM|NOENT)$/);
	});

	it("is mounted without set-user-ids and devices everywhere a function can write", () => {
		const mounts = view.mounts
			.trim()
			.split("\n")
			.map((line) => line.split(" "))
			.map((fields) => ({ point: fields[4] ?? "", options: fields[5]?.split(",") ?? [] }));
		const at = (point: string) => mounts.findLast((mount) => mount.point === point)?.options ?? [];
		expect(at("/")).toEqual(expect.arrayContaining(["ro"]));
		expect(at("/tmp")).toEqual(expect.arrayContaining(["rw", "nosuid", "nodev", "noexec"]));
		expect(at("/proc")).toEqual(expect.arrayContaining(["nosuid", "nodev", "noexec"]));
		expect(at("/dev")).toEqual(expect.arrayContaining(["nosuid", "noexec"]));
		expect(at("/function/code")).toEqual(expect.arrayContaining(["ro", "nosuid", "nodev"]));
		const writable = mounts.filter(({ options }) => options.includes("rw")).map(({ point }) => point);
		expect(writable.filter((point) => !/^\/(?:tmp|proc(?:\/.*)?|dev(?:\/.*)?)$/.test(point))).toEqual([]);
	});

	it("has only the plain devices", () => {
		const known = ["core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"];
		expect(view.devices.filter((name) => !known.includes(name))).toEqual([]);
	});
});

describe("a program that a function runs", () => {
	it("has no shell and none of the host's tools", async () => {
		const runs = await deploy(stack, { source: fixture("runs-programs") });
		const commands = ["sh", "bash", "mount", "unshare", "su", "crun", "ls"].map((command) => [command, "--version"]);
		const ended = await runs.result<readonly { code?: string }[]>({ commands });
		expect(ended.map(({ code }) => code)).toEqual(commands.map(() => "ENOENT"));
	});

	it("that is Node itself is under the same filter, and has no more rights", async () => {
		const runs = await deploy(stack, { source: fixture("runs-programs"), memoryMiB: 256 });
		const script = "process.stdout.write(require('fs').readFileSync('/proc/self/status','utf8'))";
		const [ended] = await runs.result<readonly { stdout: string }[]>({ commands: [["node", "-e", script]] });
		expect(ended?.stdout).toMatch(/^Seccomp:\s*2$/m);
		expect(ended?.stdout).toMatch(/^NoNewPrivs:\s*1$/m);
		expect(ended?.stdout).toMatch(/^CapEff:\s*0+$/m);
	});

	it.each([
		[
			"load a native addon that it wrote",
			"require('fs').writeFileSync('/tmp/x.node','\\x7fELF');process.dlopen({exports:{}},'/tmp/x.node')",
		],
		["kill its init", "process.kill(1,'SIGKILL');require('child_process').spawnSync('x');process.kill(1,0);throw new Error('init lives')"],
		["make a device", "require('fs').mkdtempSync('/dev/x')"],
		["trace its parent", "require('fs').readFileSync('/proc/'+process.ppid+'/mem')"],
		["read its init's memory", "require('fs').readFileSync('/proc/1/mem')"],
	])("can't %s", async (_, script) => {
		const runs = await deploy(stack, { source: fixture("runs-programs"), memoryMiB: 256 });
		const [ended] = await runs.result<readonly { status: number | null }[]>({ commands: [["node", "-e", script]] });
		expect(ended?.status).not.toBe(0);
	});
});
