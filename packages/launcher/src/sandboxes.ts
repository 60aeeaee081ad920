import { closeSync, constants, fstatSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { chown, rm } from "node:fs/promises";
import { join } from "node:path";
import type {
	BootAnswer,
	BootRequest,
	Digest,
	NetworkChoice,
	NetworkReport,
	SandboxExit,
	SandboxLimits,
	SpecialiseAnswer,
	SpecialiseRequest,
} from "@berth/contracts";
import { containerSpec, executesScratch, OOM_SCORE, SANDBOX_UID, UidRanges } from "@berth/sandbox/spec";
import { BaseMounts, checkMountPoints, codeOverlayOptions, overlayOptions } from "./base-mounts.js";
import type { CgroupTree } from "./cgroup.js";
import type { Host } from "./host.js";
import type { LayerStore } from "./layers.js";
import type { Networks } from "./networks/networks.js";
import type { OciRuntime } from "./oci-runtime.js";
import { reapStrays } from "./strays.js";
import { MS, makeFifo, mount, reap, SyscallError, unmount } from "./syscalls.js";

/** One sandbox as the launcher knows it. */
interface Entry {
	readonly id: string;
	readonly directory: string;
	readonly uidBase: number;
	/** How its /tmp is mounted. */
	readonly tmpFlags: number;
	/** What it is connected to. */
	network: NetworkChoice;
	limits: SandboxLimits;
	/** Pid of its init; undefined until the runtime has started it. */
	pid: number | undefined;
	/** The function's layers, from its boot or its specialisation on. */
	layers: readonly Digest[] | undefined;
	/** Resolved when the runtime has started it, or failed to. */
	started: Promise<void>;
	removal: Promise<void> | undefined;
	/** Resolved when nothing of it runs any more. */
	readonly ended: PromiseWithResolvers<void>;
}

export interface SandboxesOptions {
	readonly directory: string;
	/** Where the worker's sockets are, one `<sandbox>.sock` each. */
	readonly agentSockets: string;
	readonly serviceUid: number;
	readonly uidBase: number;
	readonly host: Host;
	readonly layers: LayerStore;
	readonly cgroups: CgroupTree;
	readonly networks: Networks;
	/** Whether the operator lets functions have the host's own network. */
	readonly allowsHostNetwork: boolean;
	readonly runtime: OciRuntime;
	readonly onExit: (exit: SandboxExit) => void;
}

const O_PATH = 0o10000000;
/** How often a sandbox that is to end is killed until it has ended, milliseconds. */
const REAP_MS = 20;
/** How often the runtime's own orphans are looked for, milliseconds. */
const STRAYS_MS = 5000;

/** Makes, changes and removes sandboxes. Every path in here is made from an id that was checked. */
export class Sandboxes {
	readonly #options: SandboxesOptions;
	readonly #bases: BaseMounts;
	readonly #uids: UidRanges;
	readonly #entries = new Map<string, Entry>();

	constructor(options: SandboxesOptions) {
		this.#options = options;
		this.#bases = new BaseMounts(options.directory, options.layers);
		this.#uids = new UidRanges(options.uidBase);
		process.on("SIGCHLD", () => this.#reapAll());
		setInterval(() => this.#reapStrays(), STRAYS_MS).unref();
	}

	/** Kills and removes what an earlier launcher left: its mounts ended with it, its sandboxes didn't. */
	async removeLeftovers(): Promise<number> {
		const { cgroups, directory, serviceUid } = this.#options;
		const left = cgroups.leftovers();
		for (const id of left) cgroups.kill(id);
		for (const id of left) {
			await until(() => cgroups.processes(id).length === 0, `leftover ${id} to end`);
			cgroups.remove(id);
		}
		for (const name of ["sandboxes", "output", "state"]) await rm(join(directory, name), { recursive: true, force: true });
		for (const name of ["sandboxes", "state"]) mountScratch(join(directory, name));
		mkdirSync(join(directory, "output"), { mode: 0o750 });
		await chown(join(directory, "output"), 0, serviceUid);
		return left.length;
	}

	async boot(request: BootRequest): Promise<BootAnswer> {
		const id = request.sandbox;
		if (this.#entries.has(id)) throw new Error(`${id} exists already`);
		if (request.network === "host" && !this.#options.allowsHostNetwork) throw new Error("the host's network isn't permitted");
		const entry: Entry = {
			id,
			directory: join(this.#options.directory, "sandboxes", id),
			uidBase: this.#uids.take(),
			tmpFlags: MS.nosuid | MS.nodev | (executesScratch(request) ? 0 : MS.noexec),
			network: request.network === "host" ? "host" : "none",
			limits: request.limits,
			pid: undefined,
			layers: undefined,
			started: Promise.resolve(),
			removal: undefined,
			ended: Promise.withResolvers(),
		};
		this.#entries.set(id, entry);
		let connected: SpecialiseAnswer;
		try {
			const starting = this.#prepare(entry, request).then(() => this.#start(entry));
			entry.started = starting.catch(() => undefined);
			await starting;
			this.#options.cgroups.delegateFreezer(id, this.#options.serviceUid);
			this.#keepOomScore(entry);
			connected = this.#connect(entry, request.network);
		} catch (error) {
			await this.remove(id);
			throw error;
		}
		const { stdout, stderr } = this.#outputsOf(entry);
		return { stdout, stderr, cgroup: this.#options.cgroups.readPaths(id), freezer: this.#options.cgroups.freezerFile(id), ...connected };
	}

	/** Grafts the function's layers in, sets its limits and connects it. No process is started. */
	specialise(request: SpecialiseRequest): SpecialiseAnswer {
		const entry = this.#running(request.sandbox);
		if (entry.layers !== undefined) throw new Error(`${entry.id} has a function already: one sandbox, one version`);
		this.#graft(entry, request.layers);
		this.#limit(entry, request.limits);
		return this.#connect(entry, request.network);
	}

	/** What networks sandboxes may have. */
	networks(): NetworkReport {
		const { missing, gateway } = this.#options.networks;
		return { gateway, ...(missing === undefined ? {} : { missing }) };
	}

	/** A tenant's image as a root: read-only, and used by nothing but the container that has it. */
	#mountRoot(entry: Entry, layers: readonly Digest[]): string {
		entry.layers = layers;
		const root = join(entry.directory, "root");
		mkdirSync(root, { mode: 0o755 });
		mount("overlay", root, "overlay", MS.rdonly | MS.nosuid | MS.nodev, overlayOptions(this.#options.layers, layers));
		checkMountPoints(root);
		return root;
	}

	#graft(entry: Entry, layers: readonly Digest[]): void {
		const code = join(entry.directory, "graft", "code");
		mount("overlay", code, "overlay", MS.rdonly | MS.nosuid | MS.nodev, codeOverlayOptions(this.#options.layers, layers));
		entry.layers = layers;
	}

	/** Layers that something is mounted from. */
	layersInUse(): ReadonlySet<Digest> {
		return new Set([...this.#bases.layers(), ...[...this.#entries.values()].flatMap(({ layers }) => layers ?? [])]);
	}

	/** Resolves when nothing of the sandbox runs any more. Idempotent. */
	async kill(id: string): Promise<void> {
		const entry = this.#entries.get(id);
		await entry?.started;
		if (entry?.pid === undefined) return;
		const kill = () => {
			this.#options.cgroups.kill(id);
			this.#reapAll();
		};
		// Again and again: the worker may freeze it at this very moment, and a frozen v1 task doesn't die. Also, waiting
		// for SIGCHLD alone keeps no process alive, and a launcher that stops waits for nothing else.
		const look = setInterval(kill, REAP_MS);
		try {
			kill();
			await entry.ended.promise;
		} finally {
			clearInterval(look);
		}
	}

	/** Kills if needed, then removes everything of it. Idempotent: who asks again waits for the same removal. */
	async remove(id: string): Promise<void> {
		const entry = this.#entries.get(id);
		if (entry === undefined) return;
		entry.removal ??= this.#remove(entry).catch((error: unknown) => {
			// Whoever asks again has it tried again.
			entry.removal = undefined;
			throw error;
		});
		await entry.removal;
	}

	/** Removes every sandbox, and our cgroup with them. @throws AggregateError of those that couldn't be removed */
	async removeAll(): Promise<void> {
		const results = await Promise.allSettled([...this.#entries.keys()].map((id) => this.remove(id)));
		const errors = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
		if (errors.length > 0) throw new AggregateError(errors, `${errors.length} sandboxes couldn't be removed`);
		this.#options.cgroups.close();
	}

	async #remove(entry: Entry): Promise<void> {
		const { cgroups, runtime } = this.#options;
		const { id } = entry;
		await entry.started;
		await this.kill(id);
		if (entry.pid === undefined) cgroups.kill(id);
		await until(() => cgroups.processes(id).length === 0, `${id}'s cgroup to be empty`);
		cgroups.remove(id);
		unmountAll(entry);
		await rm(entry.directory, { recursive: true, force: true });
		for (const fifo of Object.values(this.#outputsOf(entry))) await rm(fifo, { force: true });
		await rm(runtime.stateOf(id), { recursive: true, force: true });
		this.#entries.delete(id);
		this.#uids.give(entry.uidBase);
	}

	async #prepare(entry: Entry, request: BootRequest): Promise<void> {
		const { host, agentSockets, cgroups } = this.#options;
		const { directory, uidBase } = entry;
		const graft = join(directory, "graft");
		const tmp = join(directory, "tmp");
		const socket = join(directory, "agent.sock");
		mkdirSync(join(graft, "code"), { recursive: true, mode: 0o755 });
		mkdirSync(tmp);
		writeFileSync(socket, "");
		const { stdout, stderr } = this.#outputsOf(entry);
		for (const fifo of [stdout, stderr]) makeFifo(fifo, 0o644);
		mount("tmpfs", tmp, "tmpfs", entry.tmpFlags, tmpfsOptions(entry.limits, uidBase));
		mount(graft, graft, null, MS.bind);
		mount(null, graft, null, MS.shared);
		const base = this.#bases.rootfs(request.base);
		const rootfs = request.own === undefined || request.ownIsRoot !== true ? base : this.#mountRoot(entry, request.own);
		if (request.own !== undefined && request.ownIsRoot !== true) this.#graft(entry, request.own);
		this.#bindSocket(join(agentSockets, `${entry.id}.sock`), socket);
		const spec = containerSpec(request, {
			rootfs,
			base,
			graft,
			tmp,
			socket,
			cgroup: cgroups.pathOf(entry.id),
			uidBase,
			cgroupVersion: host.cgroupVersion,
			arch: host.arch,
		});
		writeFileSync(join(directory, "config.json"), JSON.stringify(spec));
	}

	/** The worker's directory is the worker's: what is bound is checked to be its socket, by descriptor. */
	#bindSocket(source: string, target: string): void {
		const fd = openSync(source, O_PATH | constants.O_NOFOLLOW);
		try {
			const stat = fstatSync(fd);
			if (!stat.isSocket() || stat.uid !== this.#options.serviceUid) throw new Error(`${source} isn't a socket of the worker's`);
			mount(`/proc/self/fd/${fd}`, target, null, MS.bind);
		} finally {
			closeSync(fd);
		}
	}

	async #start(entry: Entry): Promise<void> {
		const { stdout, stderr } = this.#outputsOf(entry);
		// Read-write, so that opening doesn't wait for the worker's end.
		const output = { stdout: openSync(stdout, constants.O_RDWR), stderr: openSync(stderr, constants.O_RDWR) };
		try {
			entry.pid = await this.#options.runtime.run(entry.id, entry.directory, output);
		} finally {
			closeSync(output.stdout);
			closeSync(output.stderr);
		}
		this.#reapAll();
	}

	/**
	 * The runtime sets the score without the capability that makes it the least there may be: a sandbox could lower its
	 * own to the platform's. Set again by us it can't, where we have CAP_SYS_RESOURCE. Init first: what it forks from then on inherits that.
	 */
	#keepOomScore({ id, pid }: Entry): void {
		for (const each of [...(pid === undefined ? [] : [pid]), ...this.#options.cgroups.processes(id)]) {
			writeIfAlive(`/proc/${each}/oom_score_adj`, String(OOM_SCORE));
		}
	}

	#limit(entry: Entry, limits: SandboxLimits): void {
		const before = entry.limits;
		if (limits.tmpfsBytes !== before.tmpfsBytes || limits.tmpfsInodes !== before.tmpfsInodes) {
			mount(
				"tmpfs",
				join(entry.directory, "tmp"),
				"tmpfs",
				MS.remount | entry.tmpFlags,
				`size=${limits.tmpfsBytes},nr_inodes=${limits.tmpfsInodes}`,
			);
		}
		this.#options.cgroups.limit(entry.id, limits, before);
		entry.limits = limits;
	}

	/** Its network namespace is there since it was booted: what it lacks is a way out. */
	#connect(entry: Entry, network: NetworkChoice): SpecialiseAnswer {
		if (entry.network === network) return {};
		if (entry.network !== "none" || network === "host") throw new Error(`${entry.id} was booted for another network`);
		const address = this.#options.networks.connect(entry.pid as number, network === "internet" ? "internet" : "join");
		entry.network = network;
		return network === "internet" ? {} : { address };
	}

	#running(id: string): Entry {
		const entry = this.#entries.get(id);
		if (entry?.pid === undefined) throw new Error(`${id} isn't running`);
		return entry;
	}

	/** SIGCHLD says that some child ended, not which: asks after each. */
	#reapAll(): void {
		for (const entry of this.#entries.values()) {
			if (entry.pid === undefined) continue;
			const end = reap(entry.pid);
			if (end === undefined) continue;
			entry.pid = undefined;
			entry.ended.resolve();
			this.#options.onExit({ sandbox: entry.id, ...end });
		}
	}

	#reapStrays(): void {
		const inits = new Set([...this.#entries.values()].map(({ pid }) => pid));
		reapStrays((pid) => inits.has(pid) || this.#options.runtime.isRunning(pid));
	}

	/**
	 * FIFOs that the sandbox writes and the worker reads. The OCI runtime gives them to its container's
	 * user, so who may read them is decided by their directory, which is the worker's group's alone.
	 */
	#outputsOf({ id }: Entry): { readonly stdout: string; readonly stderr: string } {
		const directory = join(this.#options.directory, "output");
		return { stdout: join(directory, `${id}.out`), stderr: join(directory, `${id}.err`) };
	}
}

/**
 * A directory in memory, for small files that live as long as a sandbox, in our own mount namespace: it ends with us.
 * On ext4 a new directory looks past everything that was removed in the last five seconds.
 */
function mountScratch(path: string): void {
	mkdirSync(path, { mode: 0o711 });
	mount("tmpfs", path, "tmpfs", MS.nosuid | MS.nodev | MS.noexec, "mode=711,size=256m");
}

function writeIfAlive(path: string, text: string): void {
	try {
		writeFileSync(path, text);
	} catch (error) {
		if (!["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
	}
}

function unmountAll({ directory, layers }: Entry): void {
	if (layers !== undefined) for (const name of ["graft/code", "root"]) unmountIfMounted(join(directory, name));
	for (const name of ["agent.sock", "graft", "tmp"]) unmountIfMounted(join(directory, name));
}

function tmpfsOptions({ tmpfsBytes, tmpfsInodes }: SandboxLimits, uidBase: number): string {
	const owner = uidBase + SANDBOX_UID;
	return `size=${tmpfsBytes},nr_inodes=${tmpfsInodes},mode=1777,uid=${owner},gid=${owner}`;
}

/** A boot or graft that failed half-way left some of these unmounted: EINVAL says so. */
function unmountIfMounted(path: string): void {
	try {
		unmount(path);
	} catch (error) {
		if (!(error instanceof SyscallError && (error.code === "EINVAL" || error.code === "ENOENT"))) throw error;
	}
}

/** Waits for what has no event: a cgroup without processes right after its init was reaped. */
async function until(holds: () => boolean, what: string): Promise<void> {
	for (let waitedMs = 0; !holds(); waitedMs += 1) {
		if (waitedMs > 5000) throw new Error(`waited 5 s for ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 1));
	}
}
