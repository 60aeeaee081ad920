import { createHash, randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { open, opendir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "@berth/contracts";
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
	/** A second lower directory: an overlay without an upper one wants two. */
	readonly emptyLayer: string;

	constructor(directory: string) {
		this.#directory = join(directory, "layers");
		this.#incoming = join(directory, "incoming");
		this.emptyLayer = join(this.#directory, "empty");
		rmSync(this.#incoming, { recursive: true, force: true });
		mkdirSync(this.#incoming, { recursive: true, mode: 0o700 });
		mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
		// What functions are made of is nobody's on this host; a mount's lower layers are found by us alone.
		chmodSync(this.#directory, 0o700);
		mkdirSync(this.emptyLayer, { recursive: true, mode: 0o755 });
		for (const name of readdirSync(this.#directory)) {
			if (name.includes(".")) rmSync(join(this.#directory, name), { recursive: true });
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
			await rename(temporary, this.#pathOf(digest));
		} catch (error) {
			await rm(temporary, { recursive: true, force: true });
			// Two connections may bring the same layer: the first one's stays.
			if (!this.has(digest)) throw error;
		}
	}

	#pathOf(digest: Digest): string {
		return join(this.#directory, digest.slice("sha256:".length, "sha256:".length + 32));
	}
}

/** Whoever got one calls `finish` or `abort`. */
export interface LayerReceiver {
	write(chunk: Uint8Array): Promise<void>;
	finish(): Promise<void>;
	abort(): Promise<void>;
}
