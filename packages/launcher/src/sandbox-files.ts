import { closeSync, constants, fstatSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { chown, rm } from "node:fs/promises";
import { join } from "node:path";
import type { BootRequest, Digest, SandboxLimits } from "@berth/contracts";
import { containerSpec, SANDBOX_UID } from "@berth/sandbox/spec";
import { BaseMounts, checkMountPoints, codeOverlayOptions, hasMountsPath, overlayOptions } from "./base-mounts.js";
import type { CgroupTree } from "./cgroup.js";
import type { Entry } from "./entry.js";
import type { Host } from "./host.js";
import type { LayerStore } from "./layers.js";
import type { SandboxStorage } from "./storage/sandbox-storage.js";
import { MS, makeFifo, mount, unmountIfMounted } from "./syscalls.js";

const O_PATH = 0o10000000;

export interface SandboxFilesOptions {
	readonly directory: string;
	/** Where the worker's sockets are, one `<sandbox>.sock` each. */
	readonly agentSockets: string;
	readonly serviceUid: number;
	readonly host: Host;
	/** AppArmor's, which is loaded; undefined: none. */
	readonly apparmorProfile: string | undefined;
	readonly layers: LayerStore;
	readonly cgroups: CgroupTree;
	readonly storage: SandboxStorage;
}

/** FIFOs that the sandbox writes and the worker reads. */
export interface Outputs {
	readonly stdout: string;
	readonly stderr: string;
}

/** What is made and mounted for each sandbox. Every path in here is made from an id that was checked. */
export class SandboxFiles {
	readonly #options: SandboxFilesOptions;
	readonly #bases: BaseMounts;

	constructor(options: SandboxFilesOptions) {
		this.#options = options;
		this.#bases = new BaseMounts(options.directory, options.layers);
	}

	/** Where all of them are, anew. */
	async begin(): Promise<void> {
		const { directory, serviceUid } = this.#options;
		for (const name of ["sandboxes", "output", "state"]) await rm(join(directory, name), { recursive: true, force: true });
		for (const name of ["sandboxes", "state"]) mountScratch(join(directory, name));
		mkdirSync(join(directory, "output"), { mode: 0o750 });
		await chown(join(directory, "output"), 0, serviceUid);
	}

	directoryOf(id: string): string {
		return join(this.#options.directory, "sandboxes", id);
	}

	/**
	 * The OCI runtime gives them to its container's user, so who may read them is decided by their directory, which is the worker's
	 * group's alone.
	 */
	outputsOf({ id }: Pick<Entry, "id">): Outputs {
		const directory = join(this.#options.directory, "output");
		return { stdout: join(directory, `${id}.out`), stderr: join(directory, `${id}.err`) };
	}

	/** Layers that bases are mounted from. */
	baseLayers(): readonly Digest[] {
		return this.#bases.layers();
	}

	/** Everything that the OCI runtime needs for one, its config.json the last. */
	prepare(entry: Entry, request: BootRequest): void {
		const { host, agentSockets, apparmorProfile, cgroups, storage } = this.#options;
		const { directory, uidBase } = entry;
		const graft = join(directory, "graft");
		const tmp = join(directory, "tmp");
		const socket = join(directory, "agent.sock");
		mkdirSync(join(graft, "code"), { recursive: true, mode: 0o755 });
		mkdirSync(tmp);
		writeFileSync(socket, "");
		const { stdout, stderr } = this.outputsOf(entry);
		for (const fifo of [stdout, stderr]) makeFifo(fifo, 0o644);
		mount("tmpfs", tmp, "tmpfs", entry.tmpFlags, tmpfsOptions(entry.limits, uidBase));
		mount(graft, graft, null, MS.bind);
		mount(null, graft, null, MS.shared);
		const base = this.#bases.rootfs(request.base);
		const rootfs = this.#rootOf(entry, request, base);
		if (request.own !== undefined && request.ownIsRoot !== true) this.graft(entry, request.own);
		this.#bindSocket(join(agentSockets, `${entry.id}.sock`), socket);
		const spec = containerSpec(request, {
			rootfs,
			base,
			graft,
			// What was made before there were volumes goes on without.
			...(request.runtimeClass === undefined && hasMountsPath(rootfs) ? { mounts: storage.prepare(directory) } : {}),
			tmp,
			socket,
			cgroup: cgroups.pathOf(entry.id),
			uidBase,
			cgroupVersion: host.cgroupVersion,
			arch: host.arch,
			unenforced: host.unenforced,
			...(apparmorProfile === undefined ? {} : { apparmorProfile }),
		});
		writeFileSync(join(directory, "config.json"), JSON.stringify(spec));
	}

	graft(entry: Entry, layers: readonly Digest[]): void {
		const code = join(entry.directory, "graft", "code");
		mount("overlay", code, "overlay", MS.rdonly | MS.nosuid | MS.nodev, codeOverlayOptions(this.#options.layers, layers));
		entry.layers = layers;
	}

	/** The size of its /tmp. */
	resize({ directory, tmpFlags }: Entry, { tmpfsBytes, tmpfsInodes }: SandboxLimits): void {
		mount("tmpfs", join(directory, "tmp"), "tmpfs", MS.remount | tmpFlags, `size=${tmpfsBytes},nr_inodes=${tmpfsInodes}`);
	}

	/** Unmounts and removes all of it. */
	async clear(entry: Entry): Promise<void> {
		const { directory, layers, mounts } = entry;
		if (layers !== undefined) for (const name of ["graft/code", "root"]) unmountIfMounted(join(directory, name));
		for (const name of ["agent.sock", "graft", "tmp"]) unmountIfMounted(join(directory, name));
		this.#options.storage.unmount(directory, mounts);
		await rm(directory, { recursive: true, force: true });
		for (const fifo of Object.values(this.outputsOf(entry))) await rm(fifo, { force: true });
	}

	/**
	 * The base that all share, unless it is a tenant's image, or gVisor's: that mounts its root once more, read-only, in the
	 * sandbox's user namespace, where a mount of the host's keeps every flag that it has, and it leaves nosuid and nodev out.
	 */
	#rootOf(entry: Entry, { runtimeClass, own, ownIsRoot, base: layers }: BootRequest, base: string): string {
		const isImage = own !== undefined && ownIsRoot === true;
		if (!isImage && runtimeClass === undefined) return base;
		return this.#mountRoot(entry, isImage ? own : layers, runtimeClass === undefined ? MS.nosuid | MS.nodev : 0);
	}

	/** A root that is used by nothing but the container that has it: read-only. */
	#mountRoot(entry: Entry, layers: readonly Digest[], flags: number): string {
		entry.layers = layers;
		const root = join(entry.directory, "root");
		mkdirSync(root, { mode: 0o755 });
		mount("overlay", root, "overlay", MS.rdonly | flags, overlayOptions(this.#options.layers, layers));
		checkMountPoints(root);
		return root;
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
}

/**
 * A directory in memory, for small files that live as long as a sandbox, in our own mount namespace: it ends with us.
 * On ext4 a new directory looks past everything that was removed in the last five seconds.
 */
function mountScratch(path: string): void {
	mkdirSync(path, { mode: 0o711 });
	mount("tmpfs", path, "tmpfs", MS.nosuid | MS.nodev | MS.noexec, "mode=711,size=256m");
}

function tmpfsOptions({ tmpfsBytes, tmpfsInodes }: SandboxLimits, uidBase: number): string {
	const owner = uidBase + SANDBOX_UID;
	return `size=${tmpfsBytes},nr_inodes=${tmpfsInodes},mode=1777,uid=${owner},gid=${owner}`;
}
