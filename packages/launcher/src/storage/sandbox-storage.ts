import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { type MakeVolumeAnswer, MOUNTS_PATH, type StorageMount, type StorageReport } from "@berth/contracts";
import { MS, mount, unmountIfMounted } from "../syscalls.js";
import type { Binds } from "./binds.js";
import { bindInert } from "./detached-mounts.js";
import type { Volumes } from "./volumes.js";

/** A path of ours, or an open directory of the host's. */
type Source = string | number;

/** A sandbox that gets volumes and bind mounts. */
interface Place {
	/** Its own, of ours. */
	readonly directory: string;
	/** Its init, which is a child of ours that wasn't reaped. */
	readonly pid: number;
}

/**
 * What sandboxes have at /mnt. Each has a directory of ours there as a slave mount from its boot on: what is mounted below it
 * later arrives in the sandbox by itself, so that a prewarmed one takes what its function has.
 */
export class SandboxStorage {
	readonly #volumes: Volumes;
	readonly #binds: Binds;

	constructor(volumes: Volumes, binds: Binds) {
		this.#volumes = volumes;
		this.#binds = binds;
	}

	report(): StorageReport {
		const { missing } = this.#volumes;
		return { binds: this.#binds.names, ...(missing === undefined ? {} : { missing }) };
	}

	/** Where a sandbox's mounts will be. @returns the path */
	prepare(directory: string): string {
		const tree = treeOf(directory);
		mkdirSync(tree, { mode: 0o755 });
		mount(tree, tree, null, MS.bind);
		mount(null, tree, null, MS.shared);
		return tree;
	}

	/** What is to be mounted, in its order; a volume that nobody has is mounted here first. @throws Error naming what isn't there */
	sources(wanted: readonly StorageMount[]): Promise<readonly Source[]> {
		return Promise.all(wanted.map((one) => this.#sourceOf(one)));
	}

	/**
	 * Gives a running sandbox what its function has. Files of a volume belong to ids as its own user namespace has them, so that sandboxes
	 * with different ranges of the host's ids are the same users to it.
	 * @param taken told of each before it is there: whoever was told unmounts it
	 */
	mount(
		{ directory, pid }: Place,
		wanted: readonly StorageMount[],
		sources: readonly Source[],
		taken: (mount: StorageMount) => void,
	): void {
		const userNamespace = openSync(`/proc/${pid}/ns/user`, "r");
		try {
			this.mountBelow(directory, userNamespace, wanted, sources, taken);
		} finally {
			closeSync(userNamespace);
		}
		requireArrived(pid, wanted);
	}

	/** The same below a sandbox's directory alone, for the ids of a user namespace. @returns where each is */
	mountBelow(
		directory: string,
		userNamespace: number,
		wanted: readonly StorageMount[],
		sources: readonly Source[],
		taken: (mount: StorageMount) => void,
	): readonly string[] {
		return wanted.map((one, at) => {
			const { name, volume, readOnly } = one;
			const target = join(treeOf(directory), name);
			mkdirSync(target, { mode: 0o755 });
			taken(one);
			const source = sources[at] as Source;
			if (volume === undefined) bindInert({ source, target, readOnly: true, recursive: true });
			else bindInert({ source, target, readOnly, recursive: false, userNamespace });
			return target;
		});
	}

	/** Makes a volume, unless there is one. @throws Error when there is no space */
	makeVolume(id: string, sizeMiB: number): Promise<MakeVolumeAnswer> {
		return this.#volumes.make(id, sizeMiB);
	}

	/** Removes a volume, which those who have it lose. @param sandboxes everybody's mounts */
	async removeVolume(
		id: string,
		sandboxes: Iterable<{ readonly directory: string; readonly mounts: readonly StorageMount[] }>,
	): Promise<void> {
		for (const { directory, mounts } of sandboxes) {
			for (const { name, volume } of mounts) if (volume === id) unmountIfMounted(join(treeOf(directory), name));
		}
		await this.#volumes.remove(id);
	}

	/** Lets go of all volumes. */
	close(): Promise<void> {
		return this.#volumes.close();
	}

	async #sourceOf({ name, volume }: StorageMount): Promise<Source> {
		try {
			return volume === undefined ? this.#binds.directory(name) : await this.#volumes.mounted(volume);
		} catch (error) {
			throw new Error(`${MOUNTS_PATH}/${name}: ${(error as Error).message}`, { cause: error });
		}
	}

	/** Takes everything away. A directory that isn't empty then is a mount that is still there: nothing below it is ever removed. */
	unmount(directory: string, mounts: readonly StorageMount[]): void {
		const tree = treeOf(directory);
		for (const { name } of mounts) {
			unmountIfMounted(join(tree, name));
			if (existsSync(join(tree, name))) rmdirSync(join(tree, name));
		}
		unmountIfMounted(tree);
	}
}

function treeOf(directory: string): string {
	return join(directory, "mnt");
}

/** What doesn't arrive would be an empty directory to the function, and nobody's error. Its list of mounts is the kernel's own. */
function requireArrived(pid: number, wanted: readonly StorageMount[]): void {
	const points = new Set(
		readFileSync(`/proc/${pid}/mountinfo`, "utf8")
			.split("\n")
			.map((line) => line.split(" ")[4]),
	);
	const missing = wanted.find(({ name }) => !points.has(`${MOUNTS_PATH}/${name}`));
	if (missing !== undefined)
		throw new Error(`${MOUNTS_PATH}/${missing.name} didn't arrive in the sandbox: its base or image has no ${MOUNTS_PATH} (deploy again)`);
}
