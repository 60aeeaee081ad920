import { once } from "node:events";
import { globSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect } from "vitest";
import { eventually } from "../../../harness/eventually.js";
import { freshName } from "../../../harness/functions.js";
import type { Rows } from "../attack.js";
import { isRefusedByHost } from "../host-listener.js";
import { type Attempts, expectRefused, isRefusedAll } from "../refused.js";

/** What the kernel tells whoever may look, and a sandbox not. */
const KERNEL_TABLES = [
	"cmdline",
	"config.gz",
	"interrupts",
	"kallsyms",
	"key-users",
	"keys",
	"latency_stats",
	"modules",
	"sched_debug",
	"timer_list",
].map((name) => `/proc/${name}`);

/** Sockets of Docker Engines on this machine: where they usually are, and those that tests have started. */
const dockerSockets = () => ["/var/run/docker.sock", "/run/docker.sock", ...globSync("/var/lib/berth-dockerd-*/docker.sock")];

export const isolation: Rows<"Isolation"> = {
	"markers in /tmp": {
		heldBy: ["scratch of its own"],
		fixture: "marker-in-tmp.py",
		isContained: async ({ mark, report, other }) => {
			expect(await report()).toEqual({ found: true });
			expect(await (await other()).report({ find: mark })).toEqual({ found: false });
		},
	},
	"markers in /var/tmp, /dev/shm, /run": {
		heldBy: ["ordinary user"],
		fixture: "markers-elsewhere.py",
		isContained: isRefusedAll(),
	},
	"its own root and code": { heldBy: ["read-only root"], fixture: "writes-its-root.py", isContained: isRefusedAll() },
	"programs that it wrote": {
		heldBy: ["noexec scratch"],
		fixture: "executes-what-it-wrote.py",
		isContained: isRefusedAll(),
		except: { runsc: "gVisor maps what is noexec" },
	},
	"SysV ipc": {
		heldBy: ["seccomp"],
		fixture: "sysv-ipc.py",
		granted: { runsc: { attempts: ["shmget", "semget", "msgget"], because: "They are in gVisor's kernel, and end with its sandbox." } },
	},
	"POSIX ipc": {
		heldBy: [["seccomp", "rlimits"], "root of its own"],
		fixture: "posix-ipc.py",
		granted: { runsc: { attempts: ["mq_open"], because: "The queue is in gVisor's kernel, and ends with its sandbox." } },
	},
	"abstract unix sockets": {
		heldBy: ["network namespace"],
		fixture: "abstract-socket.py",
		own: "function",
		isContained: async ({ mark, report, other }) => {
			const ofHost = freshName("of-the-host");
			const server = createServer((socket) => socket.end()).listen(`\0${ofHost}`);
			await once(server, "listening");
			try {
				expect(await report()).toBe("listens");
				const connected = await (await other()).report({ connect: [mark, ofHost] });
				expect(connected).toEqual({ [mark]: "ECONNREFUSED", [ofHost]: "ECONNREFUSED" });
			} finally {
				server.close();
			}
		},
	},
	"the kernel's keyrings": { heldBy: ["seccomp"], fixture: "keyring.py" },
	AF_VSOCK: { heldBy: ["seccomp"], fixture: "af-vsock.py", isContained: isRefusedAll() },
	AF_PACKET: { heldBy: [["seccomp", "capabilities"]], fixture: "af-packet.py" },
	"netlink but for routes": {
		heldBy: ["seccomp"],
		fixture: "netlink.py",
		granted: { runsc: { attempts: ["kobject_uevent"], because: "A socket of gVisor's kernel, which has no device to tell of." } },
	},
	AF_ALG: {
		heldBy: ["seccomp"],
		fixture: "af-alg.py",
		isContained: async ({ report, column }) => {
			const { AF_ALG: how } = await report<Attempts>();
			// By the filter, before the kernel could say that it was built without it.
			expect(how).toMatch(column === "runsc" ? /^EAFNOSUPPORT$/ : /^E(?:PERM|NOSYS)$/);
		},
	},
	"/proc/1/environ, cmdline, maps": {
		heldBy: ["pid namespace"],
		fixture: "init-in-proc.py",
		isContained: async ({ report, stack }) => {
			const { pids, ...said } = await report<{ pids: number; environ: string; cmdline: string; maps: string; mem: string }>();
			// An init and the agent, and what else the attacks of this function have running at the time.
			expect(pids).toBeLessThan(8);
			expect(said.cmdline).not.toBe(readFileSync("/proc/1/cmdline", "utf8"));
			expect(said.mem).toMatch(/^E[A-Z]+$/);
			for (const [name, text] of Object.entries(said)) expect([name, text]).not.toEqual([name, expect.stringContaining(stack.dataDir)]);
			expect(said.environ).toMatch(/^E[A-Z]+$|^$|^(?:(?:PATH|HOME|LANG|TMPDIR|UV_THREADPOOL_SIZE|HOSTNAME)=[^\0]*\0)+$/);
		},
	},
	"kcore and the machine's memory": {
		heldBy: [
			["masked paths", "user namespace"],
			["devices", "user namespace"],
		],
		fixture: "kcore.py",
		isContained: async ({ report, granted }) => expectNothing(await report<Attempts>(), granted),
	},
	"the kernel's own tables": {
		heldBy: ["masked paths"],
		fixture: "kernel-tables.py",
		granted: {
			runsc: { attempts: ["/proc/cmdline"], because: "gVisor's kernel has a command line of its own, the same on every machine." },
		},
		isContained: async ({ report, granted }) => {
			const said = await report<Attempts>({ paths: KERNEL_TABLES });
			expectNothing(said, granted);
			for (const path of granted) expect(said[path]).not.toBe(beginningOf(path));
		},
	},
	sysrq: { heldBy: [["ordinary user", "masked paths", "user namespace"]], fixture: "sysrq.py" },
	"core_pattern and other settings": { heldBy: [["read-only /proc", "capabilities"]], fixture: "kernel-settings.py" },
	mount: { heldBy: [["seccomp", "capabilities"]], fixture: "mount.py" },
	fsopen: { heldBy: [["seccomp", "capabilities"]], fixture: "fsopen.py" },
	pivot_root: { heldBy: [["seccomp", "capabilities"]], fixture: "pivot-root.py" },
	chroot: { heldBy: [["seccomp", "capabilities"]], fixture: "chroot.py" },
	unshare: {
		heldBy: ["seccomp"],
		fixture: "unshare.py",
		granted: {
			runsc: {
				attempts: ["unshare user", "unshare mount", "unshare cgroup", "clone user"],
				because: "Namespaces of gVisor's kernel, within its sandbox: whoever is root in them isn't so outside.",
			},
		},
	},
	"ptrace of the agent": { heldBy: ["seccomp"], fixture: "ptrace.py" },
	bpf: { heldBy: [["seccomp", "capabilities", "user namespace"]], fixture: "bpf.py" },
	userfaultfd: { heldBy: ["seccomp"], fixture: "userfaultfd.py" },
	perf: { heldBy: ["seccomp"], fixture: "perf.py" },
	io_uring: {
		heldBy: ["seccomp"],
		fixture: "io-uring.py",
		granted: { runsc: { attempts: ["io_uring"], because: "A ring of gVisor's kernel: the host's, where the faults are, is never asked." } },
	},
	"files by their handles": { heldBy: ["seccomp"], fixture: "file-handles.py" },
	"calls that nothing needs": {
		heldBy: ["seccomp"],
		fixture: "other-calls.py",
		granted: { runsc: { attempts: ["mbind"], because: "gVisor's kernel takes the advice, and has no nodes of memory." } },
	},
	"another user, and root": { heldBy: ["capabilities"], fixture: "becomes-root.py" },
	"kernel modules and kexec": { heldBy: [["seccomp", "capabilities", "user namespace"]], fixture: "kernel-modules.py" },
	"the machine's name": { heldBy: [["seccomp", "capabilities"]], fixture: "hostname.py" },
	"raw sockets": { heldBy: ["capabilities"], fixture: "raw-socket.py" },
	"connecting to the gateway": {
		heldBy: ["network namespace"],
		fixture: "reaches-gateway.py",
		isContained: isRefusedAll(({ stack }) => ({ port: Number(new URL(stack.url).port) })),
	},
	"connecting to Redis and the launcher": {
		heldBy: ["network namespace", "root of its own"],
		fixture: "reaches-redis.py",
		isContained: isRefusedByHost(({ stack }, { path, port }) => ({
			paths: [path, ...["durable.sock", "fast.sock", "launcher.sock"].map((name) => join(stack.dataDir, "run", name))],
			ports: [6379, port],
		})),
	},
	"169.254.169.254": { heldBy: ["network namespace"], fixture: "reaches-metadata.py", isContained: isRefusedAll() },
	DNS: { heldBy: ["network namespace"], fixture: "asks-dns.py", isContained: isRefusedAll() },
	"docker.sock": {
		heldBy: ["root of its own"],
		fixture: "docker-sock.py",
		isContained: isRefusedByHost((_, { path }) => ({ paths: [path, ...dockerSockets()] })),
	},
	containerd: {
		heldBy: ["root of its own"],
		fixture: "containerd.py",
		isContained: isRefusedByHost((_, { path }) => ({
			paths: [path, "/run/containerd/containerd.sock", ...globSync("/var/lib/berth-dockerd-*/exec/containerd/containerd.sock")],
		})),
	},
	"D-Bus": {
		heldBy: ["root of its own"],
		fixture: "dbus.py",
		isContained: isRefusedByHost((_, { path }) => ({
			paths: [path, "/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket", "/run/systemd/private"],
		})),
	},
	mknod: { heldBy: [["seccomp", "capabilities", "user namespace"]], fixture: "mknod.py" },
	"/dev/kmsg": { heldBy: [["devices", "user namespace"]], fixture: "dev-kmsg.py", isContained: isRefusedAll() },
	"/dev/kvm": { heldBy: [["devices", "user namespace"]], fixture: "dev-kvm.py", isContained: isRefusedAll() },
	"/dev/fuse": {
		heldBy: ["devices"],
		fixture: "dev-fuse.py",
		except: { runsc: "gVisor's own devices" },
	},
	"disks and other devices": {
		heldBy: ["devices"],
		fixture: "host-devices.py",
		granted: {
			runsc: { attempts: ["net/tun", "ptmx"], because: "Devices of gVisor's kernel, which serves them itself." },
			docker: { attempts: ["ptmx"], because: "Docker mounts a set of terminals for each container." },
		},
	},
	"setting the clock": { heldBy: [["seccomp", "capabilities", "user namespace"]], fixture: "sets-clock.py" },
	"being the last to be ended": {
		heldBy: ["rlimits", ["capabilities", "user namespace"]],
		fixture: "last-to-be-ended.py",
		granted: {
			runsc: {
				attempts: ["its own score", "init's score", "priority"],
				because: "Numbers of gVisor's kernel, by which the host ends and schedules nothing.",
			},
		},
	},
	"what was left open": {
		heldBy: ["descriptors are closed", "environment from nothing"],
		fixture: "host-descriptors.py",
		own: "function",
		isContained: async ({ report, stack }) => {
			const { fds, env } = await report<{ fds: Readonly<Record<string, string>>; env: Readonly<Record<string, string>> }>();
			expect(Object.values(fds).filter((target) => target.startsWith("socket:"))).toHaveLength(1);
			const named = Object.values(fds).filter((target) => target.startsWith("/"));
			expect(named.filter((target) => !/^\/dev\/null$|^\/proc\/\d+\/fd$|\/sb_[0-9a-z]{26}\.(?:out|err)$/.test(target))).toEqual([]);
			expect(Object.entries(env).filter(([name, value]) => /^BERTH_/.test(name) || value.includes(stack.dataDir))).toEqual([]);
		},
	},
	"ending every process that it sees": {
		heldBy: [["pid namespace", "user namespace"]],
		fixture: "kills-everybody.py",
		isContained: async ({ attack, isGone, neighbour, servesOn, stack }) => {
			const worker = await stack.pidOf("worker");
			const waits = (await neighbour()).invoke({ ms: 500 });
			const { answer, record } = await attack();
			expect(answer.outcome).toBe("crashed");
			expect((await waits).outcome).toBe("succeeded");
			expect(await stack.pidOf("worker")).toBe(worker);
			await isGone(record.sandbox);
			await eventually(() => servesOn());
		},
	},
};

/** What it reads is refused, or empty, but for what is granted. */
function expectNothing(said: Attempts, granted: readonly string[]): void {
	expectRefused(
		Object.fromEntries(Object.entries(said).map(([path, text]) => [path, text === "" || text === "b''" ? "EMPTY" : text])),
		granted,
	);
}

function beginningOf(path: string): string | undefined {
	try {
		return readFileSync(path, "utf8").slice(0, 4096);
	} catch {
		return undefined;
	}
}
