import type { ChildSpec } from "./child.js";

/** A capability (capabilities(7)) as setpriv(1) calls it. */
type Capability = keyof typeof LAUNCHER_CAPABILITIES | keyof typeof SERVICE_CAPABILITIES;

/** What the launcher, and the programs that it starts (OCI runtime, nft, mkfs.ext4), may do as root, and for what. */
const LAUNCHER_CAPABILITIES = {
	sys_admin: "mounts, loop devices, namespaces, the cgroup's filter of devices",
	sys_resource: "that a sandbox can't lower its oom_score_adj",
	net_admin: "rules, wires and addresses of networks",
	setuid: "ids of user namespaces",
	setgid: "the same for groups",
	chown: "its socket, what of a cgroup is the worker's, output pipes",
	dac_override: "directories of the worker's: agents' sockets; cgroup files of others",
	fowner: "modes of what isn't root's",
	kill: "sandboxes' processes, which are other users'",
	sys_ptrace: "runc: namespaces of the process that it has started, which is another user's",
	sys_chroot: "runc: to enter a mount namespace",
} as const;

/** What gateway and worker may do until their modules are loaded and their port is open: then they are the service user, with none of it. */
const SERVICE_CAPABILITIES = {
	setuid: "to become the service user",
	setgid: "the same for groups",
	dac_read_search: "modules of a checkout that is below somebody's private directory",
	net_bind_service: "a port below 1024",
} as const;

/** The launcher's spec, with no other privilege of root's than it needs, for itself and all that it starts. */
export const confineLauncher = (spec: ChildSpec): ChildSpec => confine(spec, Object.keys(LAUNCHER_CAPABILITIES) as Capability[]);

/** The same for a process that gives up root by itself. */
export const confineService = (spec: ChildSpec): ChildSpec => confine(spec, Object.keys(SERVICE_CAPABILITIES) as Capability[]);

/**
 * No program of another user, or with privileges of its own, gives any back (PR_SET_NO_NEW_PRIVS), and what isn't in the bounding set
 * can't be had again by any way.
 */
export function confine(spec: ChildSpec, kept: readonly Capability[]): ChildSpec {
	const bounds = ["-all", ...kept.map((name) => `+${name}`)].join(",");
	return {
		...spec,
		command: "setpriv",
		args: ["--no-new-privs", "--inh-caps", "-all", "--bounding-set", bounds, "--", spec.command, ...spec.args],
	};
}
