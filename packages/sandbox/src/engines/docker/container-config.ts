import { type BootRequest, type Digest, SANDBOX_PATHS, SANDBOX_RESOLVER, type SandboxLimits } from "@berth/contracts";
import {
	CPU_PERIOD_US,
	CPU_SHARES,
	commandOf,
	cpuQuotaUs,
	executesScratch,
	HOSTNAME,
	MASKED_PATHS,
	OOM_SCORE,
	READONLY_PATHS,
	RLIMITS,
	SANDBOX_ENVIRONMENT,
} from "../../container-spec.js";
import { seccompProfile } from "../../seccomp.js";

const ENOSYS = 38;

/** How a container, an image is found again as ours. */
export const LABELS = {
	sandbox: "dev.berth.sandbox",
	node: "dev.berth.node",
	project: "dev.berth.project",
	function: "dev.berth.function",
	version: "dev.berth.version",
	/** The function's, as its manifest has it; of a network of the Engine's: what it is for. */
	network: "dev.berth.network",
} as const;

/** What the engine has chosen for one container. */
export interface ContainerPlace {
	readonly image: Digest;
	/** The agent's socket on this host. */
	readonly socket: string;
	/** A resolv.conf that names SANDBOX_RESOLVER, on this host. */
	readonly resolvConf: string;
	/** What it has mounted: where that is on this host, and in the container. */
	readonly mounts: readonly { readonly source: string; readonly target: string }[];
	/** What Docker calls the network that it is on. */
	readonly network: string;
	/** User and group that it runs as. */
	readonly uid: number;
	readonly node: string;
	readonly arch: "x64" | "arm64";
	/** AppArmor's, which is loaded. Absent: what the Engine gives its containers. */
	readonly apparmorProfile?: string | undefined;
}

/**
 * The container of a sandbox as `POST /containers/create` takes it: what `containerSpec` says, as far as Docker can. Pure. What
 * it can't say is in docs/engines.md.
 */
export function containerConfig(boot: BootRequest, place: ContainerPlace) {
	const { limits, of, network } = boot;
	const bind = (source: string, target: string) =>
		({ Type: "bind", Source: source, Target: target, ReadOnly: true, BindOptions: { Propagation: "rprivate" } }) as const;
	return {
		Image: place.image,
		Hostname: HOSTNAME,
		User: `${place.uid}:${place.uid}`,
		Env: SANDBOX_ENVIRONMENT,
		Entrypoint: commandOf(boot, place.arch),
		Cmd: [],
		WorkingDir: SANDBOX_PATHS.graft,
		AttachStdout: true,
		AttachStderr: true,
		Labels: {
			[LABELS.sandbox]: boot.sandbox,
			[LABELS.node]: place.node,
			[LABELS.network]: typeof network === "object" ? network.join : network,
			...(of === undefined ? {} : { [LABELS.project]: of.project, [LABELS.function]: of.function, [LABELS.version]: String(of.version) }),
		},
		HostConfig: {
			...resourcesOf(limits),
			NetworkMode: place.network,
			// What its own file names, too: nobody is to ask the Engine's resolver, which would lead past the rules.
			...(network === "host" ? {} : { Dns: [SANDBOX_RESOLVER] }),
			IpcMode: "none",
			CgroupnsMode: "private",
			LogConfig: { Type: "none", Config: {} },
			ReadonlyRootfs: true,
			CapDrop: ["ALL"],
			SecurityOpt: [
				"no-new-privileges",
				`seccomp=${JSON.stringify(dockerSeccomp(place.arch))}`,
				...(place.apparmorProfile === undefined ? [] : [`apparmor=${place.apparmorProfile}`]),
			],
			OomScoreAdj: OOM_SCORE,
			// Docker mounts these without being asked; a masked directory is an empty one.
			MaskedPaths: [...MASKED_PATHS, "/sys", "/dev/mqueue"],
			ReadonlyPaths: READONLY_PATHS,
			Tmpfs: { "/tmp": tmpfsOptions(boot, place.uid) },
			Mounts: [
				bind(place.socket, SANDBOX_PATHS.socket),
				...(network === "host" ? [] : [bind(place.resolvConf, "/etc/resolv.conf")]),
				// As they are: were they to be remounted read-only, they would lose nosuid, nodev and noexec, which the Engine can't be told.
				...place.mounts.map(({ source, target }) => ({ ...bind(source, target), ReadOnly: false })),
			],
		},
	};
}

function resourcesOf(limits: SandboxLimits) {
	return {
		Memory: limits.memoryBytes,
		MemorySwap: limits.memoryBytes,
		CpuPeriod: CPU_PERIOD_US,
		CpuQuota: cpuQuotaUs(limits.cpuMilli),
		CpuShares: CPU_SHARES,
		PidsLimit: limits.pids,
		Ulimits: RLIMITS.map(({ type, hard, soft }) => ({ Name: type.slice("RLIMIT_".length).toLowerCase(), Hard: hard, Soft: soft })),
	};
}

function tmpfsOptions(boot: BootRequest, uid: number): string {
	const { tmpfsBytes, tmpfsInodes } = boot.limits;
	return `rw,${executesScratch(boot) ? "exec" : "noexec"},nosuid,nodev,size=${tmpfsBytes},nr_inodes=${tmpfsInodes},mode=1777,uid=${uid},gid=${uid}`;
}

/**
 * Our profile in Docker's form. Docker 20.10 knows no default errno but EPERM: what has to look as if the kernel were older (libc
 * tries clone3, then clone) is named.
 */
function dockerSeccomp(arch: "x64" | "arm64") {
	const { defaultAction, defaultErrnoRet, architectures, syscalls } = seccompProfile(arch);
	return {
		defaultAction,
		defaultErrnoRet,
		architectures,
		syscalls: [...syscalls, { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS }].map((rule) => ({ args: [], ...rule })),
	};
}
