import { type BootRequest, FIXED_LIMITS, KIB, MIB, MOUNTS_PATH, SANDBOX_PATHS, type WaivableLimit } from "@berth/contracts";
import type { OciSpec } from "./oci-spec.js";
import { seccompProfile } from "./seccomp.js";

/** Ids of a sandbox's user namespace: 64 Ki of them, of which one runs the code. */
export const UID_RANGE = 65_536;
export const SANDBOX_UID = 1000;

/** What the kernel kills first when the machine has no memory left. */
export const OOM_SCORE = 1000;

/** Length of a CPU quota's period, microseconds. */
export const CPU_PERIOD_US = 100_000;
/** Tenants' weight against the platform's own processes (the default is 1024): a quarter. */
export const CPU_SHARES = 256;
/** What one weighs while it boots, in busy processes: some do so at a time, and whoever is served comes first. */
export const BOOT_SHARE = 1 / 4;
/** What a busy process weighs by default, by cgroup version. */
export const ONE_PROCESS = { 1: 1024, 2: 100 } as const;

/** Threads of gVisor's kernel and file server, and a process and its threads on the host for each of the sandbox's. */
const GVISOR_TASKS = 192;

/** Where the launcher has put things for one sandbox, and which ids it gave it. */
export interface SandboxPlace {
	readonly rootfs: string;
	/** The base, where the root is an image. */
	readonly base?: string;
	readonly graft: string;
	/** What volumes and bind mounts appear below; absent where the root has no place for it. */
	readonly mounts?: string;
	readonly tmp: string;
	readonly socket: string;
	readonly cgroup: string;
	readonly uidBase: number;
	readonly cgroupVersion: 1 | 2;
	readonly arch: "x64" | "arm64";
	/** AppArmor's, which is loaded. Absent: none. */
	readonly apparmorProfile?: string;
	/** What this host can't enforce, which its operator does without. Absent: nothing. */
	readonly unenforced?: readonly WaivableLimit[];
}

/** The network's is left out where the operator permits the host's own. */
const NAMESPACES = ["pid", "mount", "ipc", "uts", "network", "cgroup", "user"] as const;

/** A CPU limit as a quota per period; never below the kernel's 1 ms. */
export function cpuQuotaUs(cpuMilli: number): number {
	return Math.max(1000, Math.round((cpuMilli * CPU_PERIOD_US) / 1000));
}

/**
 * The container of a sandbox: a pure function of its limits and place, and the one spot where the
 * isolation baseline is written down. Every path in it is the launcher's own; nothing a tenant
 * chose is in it.
 */
export function containerSpec(boot: BootRequest, place: SandboxPlace): OciSpec {
	const { limits } = boot;
	const enforces = (limit: WaivableLimit) => place.unenforced?.includes(limit) !== true;
	const idMapping = [{ containerID: 0, hostID: place.uidBase, size: UID_RANGE }];
	return {
		ociVersion: "1.0.2",
		process: {
			terminal: false,
			user: { uid: SANDBOX_UID, gid: SANDBOX_UID, umask: 0o077 },
			args: commandOf(boot, place.arch),
			env: SANDBOX_ENVIRONMENT,
			cwd: SANDBOX_PATHS.graft,
			capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
			rlimits: RLIMITS,
			noNewPrivileges: true,
			...apparmorOf(boot, place),
			oomScoreAdj: OOM_SCORE,
		},
		root: { path: place.rootfs, readonly: true },
		hostname: HOSTNAME,
		mounts: [
			{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev", "hidepid=2"] },
			{ destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"] },
			// A build's bundler is started from its image, so /tmp needs no exec there either.
			{
				destination: "/tmp",
				type: "bind",
				source: place.tmp,
				options: ["bind", "rw", "nosuid", "nodev", ...(executesScratch(boot) ? [] : ["noexec"])],
			},
			...functionMounts(boot, place),
			...(place.mounts === undefined ? [] : [{ destination: MOUNTS_PATH, type: "bind", source: place.mounts, options: SLAVE_OPTIONS }]),
			{ destination: SANDBOX_PATHS.socket, type: "bind", source: place.socket, options: ["bind", "ro", "nosuid", "nodev", "noexec"] },
		],
		linux: {
			rootfsPropagation: "rslave",
			cgroupsPath: place.cgroup,
			namespaces: NAMESPACES.filter((type) => type !== "network" || boot.network !== "host").map((type) => ({ type })),
			uidMappings: idMapping,
			gidMappings: idMapping,
			resources: {
				devices: [{ allow: false, access: "rwm" }],
				memory: { limit: limits.memoryBytes, ...(enforces("swap") ? { swap: limits.memoryBytes } : {}) },
				cpu: { shares: ONE_PROCESS[1] * BOOT_SHARE, quota: cpuQuotaUs(limits.cpuMilli), period: CPU_PERIOD_US },
				...(enforces("pids") ? { pids: { limit: hostTasksOf(boot) } } : {}),
				...(place.cgroupVersion === 2 ? { unified: { "memory.oom.group": "1" } } : {}),
			},
			...(enforces("seccomp") ? { seccomp: seccompProfile(place.arch) } : {}),
			maskedPaths: MASKED_PATHS,
			readonlyPaths: READONLY_PATHS,
		},
	};
}

/** gVisor takes no profile: its own processes are what the host would hold by it, and they need more. */
function apparmorOf({ runtimeClass }: BootRequest, { apparmorProfile }: SandboxPlace): Pick<OciSpec["process"], "apparmorProfile"> {
	return apparmorProfile === undefined || runtimeClass !== undefined ? {} : { apparmorProfile };
}

/** What its cgroup counts: under gVisor the function's tasks are its own kernel's, and the host's are what that needs for them. */
function hostTasksOf({ runtimeClass, limits }: BootRequest): number {
	return runtimeClass === undefined ? limits.pids : limits.pids + GVISOR_TASKS;
}

/** Whether what a sandbox writes to its /tmp may be executed there: packages' scripts make programs and start them. */
export function executesScratch({ kind }: Pick<BootRequest, "kind">): boolean {
	return kind === "scripts";
}

/**
 * What is mounted below by the launcher, at any time, appears in the sandbox, with flags of its own; nothing goes the other way. The
 * directory itself is on a file system without programs, and who has less privilege may not leave that out (runc says EPERM).
 */
const SLAVE_OPTIONS = ["rbind", "rslave", "ro", "nosuid", "nodev", "noexec"];

/** What the sandbox has its function from: a directory into which it is grafted, its layers, or a root that is all its own, with the base beside it. */
function functionMounts({ own, ownIsRoot }: BootRequest, { graft, base }: SandboxPlace): OciSpec["mounts"] {
	if (ownIsRoot === true)
		return [{ destination: SANDBOX_PATHS.imageBase, type: "bind", source: base as string, options: ["bind", "ro", "nosuid", "nodev"] }];
	const grafted = { destination: SANDBOX_PATHS.graft, type: "bind", source: graft, options: SLAVE_OPTIONS };
	if (own === undefined) return [grafted];
	// By itself: crun's rbind leaves out what is mounted below (seen with 1.8.1).
	return [grafted, { destination: SANDBOX_PATHS.code, type: "bind", source: `${graft}/code`, options: ["bind", "ro", "nosuid", "nodev"] }];
}

/** Where the distribution's C library and its loader are in a base, by processor. */
const LOADERS = {
	x64: { loader: "/lib64/ld-linux-x86-64.so.2", libraries: ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64"] },
	arm64: {
		loader: "/lib/ld-linux-aarch64.so.1",
		libraries: ["/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64"],
	},
} as const;

/** All of it: init, and what init starts. */
export function commandOf(boot: BootRequest, arch: SandboxPlace["arch"]): readonly string[] {
	return boot.ownIsRoot === true ? inImage(programArgs(boot), arch) : ["/sbin/tini", "--", ...programArgs(boot)];
}

/** A base's command in the root of an image, which may have no C library or another: started by the base's own loader, with its own libraries. */
function inImage([program = "", ...args]: readonly string[], arch: SandboxPlace["arch"]): readonly string[] {
	const at = (path: string) => `${SANDBOX_PATHS.imageBase}${path}`;
	const { loader, libraries } = LOADERS[arch];
	const own = args.map((arg) => (arg === SANDBOX_PATHS.bridge ? at(arg) : arg));
	return [at("/sbin/tini"), "--", at(loader), "--library-path", libraries.map(at).join(":"), at(program), ...own];
}

/** What init starts. */
function programArgs({ program, kind }: BootRequest): readonly string[] {
	// Isolated from variables and directories of the sandbox's; its root is read-only, so it writes no bytecode.
	if (program.language === "python") return ["/usr/bin/python3", "-I", "-B", SANDBOX_PATHS.pythonAgent];
	// Bodies are outside of V8's heap: it only moves them, and leaves the memory to the program.
	if (program.language === "custom") return ["/usr/bin/node", "--max-old-space-size=24", "--max-semi-space-size=1", SANDBOX_PATHS.bridge];
	return [
		"/usr/bin/node",
		`--max-old-space-size=${program.oldSpaceMiB}`,
		`--max-semi-space-size=${program.semiSpaceMiB}`,
		SANDBOX_PATHS.agent,
		...(kind === "function" ? [] : [SANDBOX_PATHS.builder]),
	];
}

/** The largest /tmp there is: RLIMIT_FSIZE can't follow a sandbox's own size, which its tmpfs enforces. */
const FSIZE_BYTES = 1024 * MIB;

export const HOSTNAME = "sandbox";

export const SANDBOX_ENVIRONMENT = ["PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", "TMPDIR=/tmp", "UV_THREADPOOL_SIZE=2"];

export const RLIMITS = [
	{ type: "RLIMIT_NOFILE", hard: FIXED_LIMITS.openFiles, soft: FIXED_LIMITS.openFiles },
	{ type: "RLIMIT_CORE", hard: 0, soft: 0 },
	{ type: "RLIMIT_FSIZE", hard: FSIZE_BYTES, soft: FSIZE_BYTES },
	{ type: "RLIMIT_MEMLOCK", hard: 64 * KIB, soft: 64 * KIB },
	{ type: "RLIMIT_MSGQUEUE", hard: 0, soft: 0 },
	{ type: "RLIMIT_SIGPENDING", hard: 256, soft: 256 },
	{ type: "RLIMIT_STACK", hard: 8 * MIB, soft: 8 * MIB },
];

export const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"];

export const MASKED_PATHS = [
	"acpi",
	"asound",
	"cmdline",
	"config.gz",
	"interrupts",
	"kallsyms",
	"kcore",
	"key-users",
	"keys",
	"latency_stats",
	"modules",
	"pressure",
	"sched_debug",
	"scsi",
	"sysrq-trigger",
	"timer_list",
	"timer_stats",
].map((name) => `/proc/${name}`);
