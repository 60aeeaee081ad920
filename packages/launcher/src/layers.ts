import { createHash, randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { open, opendir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Digest } from "@berth/contracts";
import { stampOf } from "./tree-stamp.js";
import { unpackLayer } from "./unpack.js";

const LAYER = /^[0-9a-f]{32}$/;

/**
 * Unpacked layers, by digest, in a directory that only root writes. A layer arrives as a tar in
 * chunks; it is unpacked only after its digest has been checked, and appears under its name whole or
 * not at all. Names are 32 of the digest's hex digits: mount(2) takes 4 KiB of options. A directory's time
 * is when its layer was last wanted: they are copies of blobs, and what nobody wants goes.
 */
export class LayerStore {
	readonly #directory: string;
	readonly #incoming: string;
	readonly #stamps: string;
	/** Those that were looked at since we started: nobody but us writes there. */
	readonly #looked = new Map<Digest, Promise<boolean>>();
	readonly #onDamaged: (digest: Digest) => void;
	/** A second lower directory: an overlay without an upper one wants two. */
	readonly emptyLayer: string;

	/** @param onDamaged told of a layer that isn't as it was unpacked */
	constructor(directory: string, onDamaged: (digest: Digest) => void = () => undefined) {
		this.#onDamaged = onDamaged;
		this.#directory = join(directory, "layers");
		this.#incoming = join(directory, "incoming");
		this.#stamps = join(directory, "stamps");
		this.emptyLayer = join(this.#directory, "empty");
		rmSync(this.#incoming, { recursive: true, force: true });
		mkdirSync(this.#incoming, { recursive: true, mode: 0o700 });
		mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
		mkdirSync(this.#stamps, { recursive: true, mode: 0o700 });
		// What functions are made of is nobody's on this host; a mount's lower layers are found by us alone.
		chmodSync(this.#directory, 0o700);
		mkdirSync(this.emptyLayer, { recursive: true, mode: 0o755 });
		for (const parent of [this.#directory, this.#stamps]) {
			for (const name of readdirSync(parent)) if (name.includes(".")) rmSync(join(parent, name), { recursive: true });
		}
	}

	/** Whether a layer is here. Who asks wants it. */
	has(digest: Digest): boolean {
		const now = new Date();
		try {
			utimesSync(this.#pathOf(digest), now, now);
			return true;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
			throw error;
		}
	}

	/**
	 * Whether a layer is here as it was unpacked. It is looked at once, before anything is mounted from it; one that was changed since
	 * is removed, so that it is brought again. @throws Error when it can't be removed
	 */
	async isSound(digest: Digest): Promise<boolean> {
		if (!this.has(digest)) return false;
		const looking = this.#looked.get(digest) ?? this.#look(digest);
		this.#looked.set(digest, looking);
		looking.catch(() => this.#looked.delete(digest));
		if (await looking) return true;
		this.#looked.delete(digest);
		return false;
	}

	/** Where a layer is unpacked. @throws Error when it isn't here */
	path(digest: Digest): string {
		if (!this.has(digest)) throw new Error(`layer ${digest} isn't in the store`);
		return this.#pathOf(digest);
	}

	/**
	 * Removes layers that nobody wanted for so long and nothing is mounted from; how many. Each loses its name
	 * first, at one stroke with the look at what is in use: a mount finds it whole or not at all. What a crash
	 * leaves of one goes at the next start.
	 */
	async drop(unusedForMs: number, inUse: () => ReadonlySet<Digest>): Promise<number> {
		const before = Date.now() - unusedForMs;
		let dropped = 0;
		for await (const { name } of await opendir(this.#directory)) {
			const path = join(this.#directory, name);
			const { mtimeMs: wantedAtMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
			if (!LAYER.test(name) || wantedAtMs === undefined || wantedAtMs > before) continue;
			if ([...inUse()].some((digest) => this.#pathOf(digest) === path)) continue;
			const nameless = `${path}.${randomUUID()}`;
			renameSync(path, nameless);
			// What is known of it goes at the same stroke: it may be brought again while its files are removed.
			rmSync(join(this.#stamps, name), { force: true });
			for (const digest of this.#looked.keys()) if (this.#pathOf(digest) === path) this.#looked.delete(digest);
			await rm(nameless, { recursive: true });
			dropped++;
		}
		return dropped;
	}

	/** Takes a layer, chunk by chunk; `finish` checks, unpacks and names it. */
	async receive(digest: Digest): Promise<LayerReceiver> {
		const path = join(this.#incoming, randomUUID());
		const file = await open(path, "wx+", 0o600);
		const hash = createHash("sha256");
		return {
			async write(chunk) {
				hash.update(chunk);
				// A full disk takes part of a write and says so only to the next one: `appendFile` makes that one.
				await file.appendFile(chunk);
			},
			finish: async () => {
				try {
					const actual = `sha256:${hash.digest("hex")}`;
					if (actual !== digest) throw new Error(`the layer's bytes are ${actual}, not ${digest}`);
					if (!this.has(digest)) await this.#unpack(digest, path);
				} finally {
					await file.close();
					await rm(path);
				}
			},
			async abort() {
				await file.close();
				await rm(path);
			},
		};
	}

	async #unpack(digest: Digest, tar: string): Promise<void> {
		const temporary = `${this.#pathOf(digest)}.${randomUUID()}`;
		try {
			await unpackLayer(tar, temporary);
			await this.#stamp(digest, await stampOf(temporary));
			await rename(temporary, this.#pathOf(digest));
			this.#looked.set(digest, Promise.resolve(true));
		} catch (error) {
			await rm(temporary, { recursive: true, force: true });
			// Two connections may bring the same layer: the first one's stays.
			if (!this.has(digest)) throw error;
		}
	}

	async #look(digest: Digest): Promise<boolean> {
		const path = this.#pathOf(digest);
		const stamp = await readFile(this.#stampPathOf(digest), "utf8").catch(absent);
		if (stamp === (await stampOf(path))) return true;
		const nameless = `${path}.${randomUUID()}`;
		await rename(path, nameless);
		await rm(nameless, { recursive: true });
		this.#onDamaged(digest);
		return false;
	}

	/** On disk before the layer has its name. */
	async #stamp(digest: Digest, stamp: string): Promise<void> {
		const path = this.#stampPathOf(digest);
		const temporary = `${path}.${randomUUID()}`;
		await writeFile(temporary, stamp, { mode: 0o600, flush: true });
		await rename(temporary, path);
	}

	#stampPathOf(digest: Digest): string {
		return join(this.#stamps, basename(this.#pathOf(digest)));
	}

	#pathOf(digest: Digest): string {
		return join(this.#directory, digest.slice("sha256:".length, "sha256:".length + 32));
	}
}

function absent(error: NodeJS.ErrnoException): undefined {
	if (error.code !== "ENOENT") throw error;
	return undefined;
}

/** Whoever got one calls `finish` or `abort`. */
export interface LayerReceiver {
	write(chunk: Uint8Array): Promise<void>;
	finish(): Promise<void>;
	abort(): Promise<void>;
}
