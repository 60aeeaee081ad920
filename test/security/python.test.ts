import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, fixture } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const python = (name: string, more = {}) => deploy(stack, { runtime: "python3", source: fixture(name, "index.py"), ...more });

type Looked = Readonly<Record<string, string | number | readonly string[]>>;

interface View {
	readonly status: string;
	readonly limits: string;
	readonly uidMap: string;
	readonly env: Readonly<Record<string, string>>;
	readonly pids: readonly string[];
	readonly fds: Readonly<Record<string, string>>;
	readonly read: Looked;
	readonly list: Looked;
	readonly write: Looked;
	readonly calls: Looked;
	readonly sockets: Looked;
	readonly uids: readonly [number, number, number, readonly number[]];
}

const IS_X64 = process.arch === "x64";
const CLONE_NEWUSER = 0x1000_0000;
/** Of the C library: what to call, with what. Each is refused by the filter, whatever its arguments. */
const CALLS: readonly (readonly [name: string, ...args: (string | number)[]])[] = [
	["mount", "none", "/tmp", "tmpfs", 0, 0],
	["umount2", "/tmp", 2],
	["pivot_root", "/tmp", "/tmp"],
	["chroot", "/tmp"],
	["fsopen", "tmpfs", 0],
	["open_tree", -100, "/", 1],
	["move_mount", 0, "", 0, "/", 4],
	["unshare", CLONE_NEWUSER],
	["setns", 0, 0],
	["ptrace", 16, 1, 0, 0],
	["process_vm_readv", 1, 0, 0, 0, 0, 0],
	["pidfd_getfd", 0, 0, 0],
	["name_to_handle_at", -100, "/", 0, 0, 0],
	["open_by_handle_at", -100, 0, 0],
	["personality", 0x004_0000],
	["setuid", 0],
	["setgid", 0],
	["mknod", "/tmp/null", 0o20666, 0x103],
	["sethostname", "x", 1],
	["reboot", 0],
	["swapon", "/tmp/x", 0],
	["acct", "/tmp/x"],
	["klogctl", 3, 0, 0],
	["mlockall", 1],
	["shmget", 1, 4096, 0o1600],
	["semget", 1, 1, 0o1600],
	["msgget", 1, 0o1600],
	["fanotify_init", 0, 0],
	["init_module", "", 0, ""],
];
/** What the C library has no function for, by number (x86-64, arm64). */
const NUMBERS: readonly (readonly [name: string, x64: number, arm64: number, ...args: number[]])[] = [
	["bpf", 321, 280, 0, 0, 0],
	["io_uring_setup", 425, 425, 1, 0],
	["userfaultfd", 323, 282, 0],
	["perf_event_open", 298, 241, 0, 0, -1, -1, 0],
	["keyctl", 250, 219, 0, 0, 0, 0, 0],
	["settimeofday", 164, 170, 0, 0],
	["clock_settime", 227, 112, 0, 0],
	["add_key", 248, 217, 0, 0, 0, 0, 0],
	["kexec_load", 246, 104, 0, 0, 0, 0],
	["memfd_secret", 447, 447, 0],
	["clone3", 435, 435, 0, 0],
	["seccomp", 317, 277, 1, 0, 0],
	["a number that there is none of", 999, 999],
];
/** Family, type, protocol. */
const SOCKETS = [
	["AF_ALG", 38, 5, 0],
	["AF_PACKET", 17, 3, 0],
	["AF_VSOCK", 40, 1, 0],
	["AF_NETLINK, audit", 16, 3, 9],
	["AF_NETLINK, netfilter", 16, 3, 12],
	["AF_BLUETOOTH", 31, 3, 1],
	["a raw socket", 2, 3, 1],
] as const;
const UNWRITABLE = ["/x", "/usr/bin/python3", "/berth/python/__main__.py", "/function/code/index.py", "/function/x", "/run/x", "/dev/x"];
const SHUT = ["/proc/kcore", "/proc/kallsyms", "/proc/keys", "/proc/timer_list", "/proc/1/environ"];
const ABSENT = ["/sys", "/root", "/home", "/var/lib", "/var/run/docker.sock", "/berth/builder", "/usr/lib/python3/dist-packages"];

describe("a function in Python", () => {
	let view: View;
	beforeAll(async () => {
		const calls = [
			...CALLS.map(([name, ...args]) => [name, name, null, args]),
			...NUMBERS.map(([name, x64, arm64, ...args]) => [name, name, IS_X64 ? x64 : arm64, args]),
		];
		const deployed = await python("looks-around");
		view = await deployed.result<View>({ read: SHUT, list: ABSENT, write: UNWRITABLE, calls, sockets: SOCKETS });
	});

	it("is an ordinary user without capabilities, under a filter, in a user namespace whose ids are nobody's on the host", () => {
		expect(view.uids).toEqual([1000, 1000, 1000, []]);
		expect(Number(/^\s*0\s+(\d+)\s+65536/.exec(view.uidMap)?.[1])).toBeGreaterThanOrEqual(0x7000_0000);
		for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) expect(view.status).toContain(`${set}:\t0000000000000000`);
		expect(view.status).toContain("NoNewPrivs:\t1");
		expect(view.status).toContain("Seccomp:\t2");
		expect(view.limits).toMatch(/^Max open files +512 +512/m);
		expect(view.limits).toMatch(/^Max core file size +0 +0/m);
	});

	it("has no descriptor but its standard ones and the agent's socket, sees no process but its own, and no variable of the host's", () => {
		expect(Object.values(view.fds).filter((target) => target.startsWith("socket:"))).toHaveLength(1);
		const named = Object.values(view.fds).filter((target) => target.startsWith("/"));
		for (const target of named) expect(target).toMatch(/^\/dev\/null$|^\/proc\/\d+\/fd$|\/sb_[0-9a-z]{26}\.(?:out|err)$/);
		expect(view.pids.length).toBeLessThanOrEqual(2);
		expect(Object.keys(view.env).filter((name) => !["HOME", "LANG", "PATH", "TMPDIR", "UV_THREADPOOL_SIZE"].includes(name))).toEqual([]);
	});

	it.each(UNWRITABLE)("can't write %s", (path) => {
		expect(view.write[path]).toMatch(/^E(?:ROFS|ACCES|PERM|NOENT|TXTBSY)$/);
	});

	it.each(SHUT)("reads nothing in %s", (path) => {
		expect(view.read[path]).toMatch(/^$|^E(?:ACCES|PERM|NOENT)$|^PATH=\/usr\/bin:\/bin\0/);
	});

	it.each(ABSENT)("has no %s", (path) => {
		expect(view.list[path]).toMatch(/^E(?:NOENT|NOTDIR|ACCES)$/);
	});

	it.each([...CALLS, ...NUMBERS].map(([name]) => name))("is refused the system call %s", (name) => {
		expect(view.calls[name]).toMatch(/^E(?:PERM|NOSYS|ACCES)$/);
	});

	it.each(SOCKETS.map(([name]) => name))("gets no socket: %s", (name) => {
		expect(view.sockets[name]).toMatch(/^E(?:PERM|ACCES|NOSYS|AFNOSUPPORT|PROTONOSUPPORT)$/);
	});

	it("can't run what it wrote, and finds no shell", async () => {
		const source = `import ctypes, os, shutil, subprocess
def attempt(act):
    try:
        return str(act())
    except OSError as error:
        return type(error).__name__
def handler(event, context):
    shutil.copy("/usr/bin/python3", "/tmp/python3")
    shutil.copy(next(line.split()[-1] for line in open("/proc/self/maps") if "/libc.so" in line), "/tmp/lib.so")
    os.chmod("/tmp/python3", 0o755)
    return [attempt(lambda: subprocess.run(["/tmp/python3", "-c", "0"])), attempt(lambda: ctypes.CDLL("/tmp/lib.so")), attempt(lambda: os.system("true") != 0), attempt(lambda: subprocess.run(["sh"]))]`;
		expect(await (await deploy(stack, { runtime: "python3", source })).result()).toEqual([
			"PermissionError",
			"OSError",
			"True",
			"FileNotFoundError",
		]);
	});
});

describe("a function in Python that writes to the agent's socket", () => {
	let victim: Deployed;
	let forger: Deployed;
	beforeAll(async () => {
		victim = await deploy(stack, { source: fixture("sleeps") });
		forger = await python("forges-frames");
	});

	it.each([
		"another's answer",
		"another's failure",
		"an unknown type",
		"another hello",
		"a question",
		"a length of 4 GiB",
		"no JSON",
		"through the agent",
	])("%s: settles nobody else's invocation, and its sandbox is destroyed", async (forge) => {
		const { id } = await victim.invoke({ ms: 1 });
		const running = victim.invoke({ ms: 500 });
		const forged = await forger.invoke({ forge, id });
		expect(forged.outcome).toBe("crashed");
		expect(forged.problem?.detail).toContain("ProtocolError");
		expect((await running).raw.body.toString()).toBe("slept");
		expect((await victim.record({ id })).outcome).toBe("succeeded");
		const { sandbox } = await forger.record(forged);
		await eventually(async () => expect((await stack.client.sandboxes()).map((each) => each.id)).not.toContain(sandbox));
		expect(await forger.result({})).toBe("honest");
	});

	it("on its standard output has written a line of its log", async () => {
		const answer = await forger.invoke({ forge: "on stdout", id: "inv_00000000000000000000000000" });
		expect(await forger.record(answer)).toMatchObject({ outcome: "succeeded", logs: [{ text: expect.stringContaining("forged") }] });
	});
});
