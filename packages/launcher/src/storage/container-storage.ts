import { closeSync, existsSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { MakeVolumeAnswer, StorageMount, StorageReport } from "@berth/contracts";
import { UidRanges } from "@berth/sandbox/spec";
import { unmount } from "../syscalls.js";
import { mountPoints } from "./foreign-mounts.js";
import type { SandboxStorage } from "./sandbox-storage.js";
import { userNamespaceOf } from "./user-namespace.js";

export interface ContainerStorageOptions {
	/** The launcher's own. */
	readonly directory: string;
	readonly storage: SandboxStorage;
	/** First of the ids that sandboxes have. */
	readonly uidBase: number;
}

/**
 * What containers of a Docker Engine have at /mnt: mounts of ours on this host, where the Engine sees them and binds them into the
 * container. Each is inert, and read-only where it has to be, before the Engine hears of it: nothing is left to its options.
 */
export class ContainerStorage {
	readonly #directory: string;
	readonly #volumes: string;
	readonly #storage: SandboxStorage;
	readonly #uidBase: number;
	readonly #mounts = new Map<string, StorageMount[]>();

	constructor({ directory, storage, uidBase }: ContainerStorageOptions) {
		this.#directory = join(directory, "containers");
		this.#volumes = join(directory, "volumes");
		this.#storage = storage;
		this.#uidBase = uidBase;
	}

	report(): StorageReport {
		return this.#storage.report();
	}

	/** Takes away what a launcher that was killed has left on this host: mounts, the latest first, and their directories. */
	begin(): void {
		mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
		const isOurs = (place: string) => [this.#directory, this.#volumes].some((directory) => place.startsWith(`${directory}/`));
		for (const place of mountPoints(isOurs).toReversed()) {
			unmount(place);
			rmdirSync(place);
		}
		for (const sandbox of readdirSync(this.#directory)) {
			const tree = join(this.#directory, sandbox, "mnt");
			for (const place of [...namesIn(tree).map((name) => join(tree, name)), tree, join(this.#directory, sandbox)]) removeIfThere(place);
		}
	}

	/**
	 * Mounts what a container is to have. Files of a volume belong to the container's ids as if it had a user namespace of its own range.
	 * @param uidBase first id of the sandbox's range. @returns where each is on this host
	 * @throws Error when they are taken away meanwhile: nobody would take away what came after that
	 */
	async mount(sandbox: string, uidBase: number, wanted: readonly StorageMount[]): Promise<readonly string[]> {
		if (this.#mounts.has(sandbox)) throw new Error(`${sandbox} has its mounts already`);
		if (!UidRanges.has(this.#uidBase, uidBase)) throw new Error(`uidBase: ${uidBase} isn't the first id of a sandbox's range`);
		const mounts: StorageMount[] = [];
		this.#mounts.set(sandbox, mounts);
		const directory = join(this.#directory, sandbox);
		try {
			const sources = await this.#storage.sources(wanted);
			const userNamespace = await userNamespaceOf(uidBase);
			try {
				if (this.#mounts.get(sandbox) !== mounts) throw new Error(`${sandbox} isn't wanted any more`);
				mkdirSync(join(directory, "mnt"), { recursive: true, mode: 0o700 });
				return this.#storage.mountBelow(directory, userNamespace, wanted, sources, (mount) => mounts.push(mount));
			} finally {
				closeSync(userNamespace);
			}
		} catch (error) {
			if (this.#mounts.get(sandbox) === mounts) this.unmount(sandbox);
			throw error;
		}
	}

	/** What the container still has, it keeps until it ends. Idempotent; after a failure it can be tried again. */
	unmount(sandbox: string): void {
		const mounts = this.#mounts.get(sandbox);
		if (mounts === undefined) return;
		const directory = join(this.#directory, sandbox);
		this.#storage.unmount(directory, mounts);
		for (const place of [join(directory, "mnt"), directory]) removeIfThere(place);
		this.#mounts.delete(sandbox);
	}

	makeVolume(id: string, sizeMiB: number): Promise<MakeVolumeAnswer> {
		return this.#storage.makeVolume(id, sizeMiB);
	}

	/** From containers that still have it nothing can be taken: it is gone from the disk when they have ended. */
	removeVolume(id: string): Promise<void> {
		return this.#storage.removeVolume(id, []);
	}

	async close(): Promise<void> {
		for (const sandbox of [...this.#mounts.keys()]) this.unmount(sandbox);
		await this.#storage.close();
	}
}

function namesIn(directory: string): readonly string[] {
	return existsSync(directory) ? readdirSync(directory) : [];
}

function removeIfThere(directory: string): void {
	try {
		rmdirSync(directory);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
	}
}
