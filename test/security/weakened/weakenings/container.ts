import type { Weakenings } from "../weakening.js";

const SPEC = "packages/sandbox/src/container-spec.ts";
const FILES = "packages/launcher/src/sandbox-files.ts";
const SANDBOXES = "packages/launcher/src/sandboxes.ts";
const BASES = "packages/launcher/src/base-mounts.ts";
const RUNTIME = "packages/launcher/src/oci-runtime.ts";
const ALL_CAPABILITIES = `["CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_SYS_CHROOT", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_PTRACE", "CAP_SYS_RESOURCE", "CAP_CHOWN", "CAP_MKNOD", "CAP_SYS_TIME", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_DAC_OVERRIDE", "CAP_SYS_BOOT"]`;

/** What a container is made of. */
export const container = {
	"scratch of its own": {
		takes: "each sandbox's own tmpfs: all have one directory of the host's as their /tmp",
		edits: [
			[
				FILES,
				'mount("tmpfs", tmp, "tmpfs", entry.tmpFlags, tmpfsOptions(entry.limits, uidBase));',
				'const all = join(this.#options.directory, "sandboxes", "tmp-of-all"); mkdirSync(all, { recursive: true }); process.getBuiltinModule("node:fs").chmodSync(all, 0o1777); mount(all, tmp, null, MS.bind);',
			],
		],
	},
	"noexec scratch": {
		takes: "noexec of /tmp, in the container's mount and the launcher's",
		edits: [
			[SPEC, '...(executesScratch(boot) ? [] : ["noexec"])', ""],
			[SANDBOXES, "(executesScratch(request) ? 0 : MS.noexec)", "0"],
		],
	},
	"root of its own": {
		takes: "a root with nothing of the host's in it: the host's /var is there, and a /dev/shm",
		edits: [
			[
				BASES,
				"const key = base.join();",
				'const key = base.join(); mkdirSync(join(this.#directory, "../skeleton/var"), { recursive: true });',
			],
			[
				BASES,
				"layers.emptyLayer].join",
				'(process.getBuiltinModule("node:fs").existsSync(join(layers.emptyLayer, "../../skeleton")) ? join(layers.emptyLayer, "../../skeleton") : layers.emptyLayer)].join',
			],
			[
				SPEC,
				"...functionMounts(boot, place),",
				'{ destination: "/var", type: "bind", source: "/var", options: ["bind", "ro"] }, { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["mode=1777"] }, ...functionMounts(boot, place),',
			],
		],
	},
	"read-only root": {
		takes: "the read-only root: it is an overlay with a layer that is written to, by everybody",
		edits: [
			[SPEC, "root: { path: place.rootfs, readonly: true }", "root: { path: place.rootfs, readonly: false }"],
			[
				BASES,
				'mount("overlay", path, "overlay", MS.rdonly | MS.nodev | MS.nosuid, overlayOptions(this.#layers, base));',
				'const at = join(this.#directory, "../sandboxes", `upper-${path.split("/").at(-1)}`); for (const name of ["up", "work"]) mkdirSync(join(at, name), { recursive: true }); process.getBuiltinModule("node:fs").chmodSync(join(at, "up"), 0o777); mount("overlay", path, "overlay", MS.nodev | MS.nosuid, `${overlayOptions(this.#layers, base)},upperdir=${at}/up,workdir=${at}/work`);',
			],
		],
	},
	"read-only /proc": { takes: "the read-only paths of /proc", edits: [[SPEC, "readonlyPaths: READONLY_PATHS,", ""]] },
	"masked paths": { takes: "the masks over /proc", edits: [[SPEC, "maskedPaths: MASKED_PATHS,", ""]] },
	devices: {
		takes: "the six harmless devices alone: fuse, a tunnel and the control of loop devices are there, for everybody",
		edits: [
			[SPEC, 'devices: [{ allow: false, access: "rwm" }]', 'devices: [{ allow: true, access: "rwm" }]'],
			[
				SPEC,
				"...functionMounts(boot, place),",
				'...Object.entries({ fuse: 229, "loop-control": 237, "net/tun": 200 }).map(([name, minor]) => {\n\tconst node = `${place.rootfs}-${minor}`;\n\tif (!process.getBuiltinModule("node:fs").existsSync(node)) process.getBuiltinModule("node:child_process").execFileSync("mknod", ["-m", "666", node, "c", "10", String(minor)]);\n\treturn { destination: `/dev/${name}`, type: "bind", source: node, options: ["bind"] };\n}), ...functionMounts(boot, place),',
			],
		],
	},
	capabilities: {
		takes: "the empty sets of capabilities: they are full",
		edits: [
			[
				SPEC,
				"capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] }",
				`capabilities: Object.fromEntries(["bounding", "effective", "inheritable", "permitted", "ambient"].map((set) => [set, ${ALL_CAPABILITIES}]))`,
			],
		],
	},
	"ordinary user": {
		takes: "uid 1000: it runs as uid 0 of its namespace",
		edits: [[SPEC, "user: { uid: SANDBOX_UID, gid: SANDBOX_UID, umask: 0o077 }", "user: { uid: 0, gid: 0, umask: 0o077 }"]],
	},
	"user namespace": { reason: "Without it the attacks would be those of the host's root, on the machine that tries them." },
	"pid namespace": {
		takes: "the pid namespace: it has the host's, and its /proc",
		edits: [
			[SPEC, '["pid", "mount",', '["mount",'],
			[
				SPEC,
				'{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev", "hidepid=2"] }',
				'{ destination: "/proc", type: "bind", source: "/proc", options: ["rbind", "nosuid", "noexec", "nodev"] }',
			],
		],
	},
	"network namespace": { takes: "the network namespace", edits: [[SPEC, '"uts", "network", "cgroup"', '"uts", "cgroup"']] },
	seccomp: {
		takes: "the filter of system calls",
		edits: [[SPEC, '...(enforces("seccomp") ? { seccomp: seccompProfile(place.arch) } : {}),', ""]],
	},
	"descriptors are closed": {
		takes: "the closing of descriptors: a directory of the host's stays open",
		edits: [
			[RUNTIME, '"run", "--detach",', '"run", "--preserve-fds", "1", "--detach",'],
			[
				RUNTIME,
				"output.stdout, output.stderr], env",
				'output.stdout, output.stderr, process.getBuiltinModule("node:fs").openSync("/", "r")], env',
			],
		],
	},
	"environment from nothing": {
		takes: "the environment that begins empty: it has the launcher's",
		edits: [
			[SPEC, "env: SANDBOX_ENVIRONMENT,", 'env: [...SANDBOX_ENVIRONMENT, ...Object.entries(process.env).map((pair) => pair.join("="))],'],
		],
	},
} as const satisfies Weakenings;
