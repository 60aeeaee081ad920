import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isDigest } from "@berth/contracts";
import { exists, hexOf, isMissing, readVerified } from "./blob.js";
import type { Bytes, Deposit } from "./deposit.js";
import type { Descriptor } from "./descriptor.js";
import { ImageIndex } from "./image-index.js";
import { SharedLock } from "./shared-lock.js";

/** What `putBlob` found out. */
export interface PutBlob {
	readonly digest: Digest;
	readonly sizeBytes: number;
	/** Whether the blob was there before; its file is the same one then. */
	readonly existed: boolean;
}

/**
 * Images in an OCI image layout (image-layout.md): `oci-layout`, `index.json`, `blobs/sha256/…`.
 * Any number of processes may read it and add blobs; only one names and collects.
 */
export class ImageStore {
	readonly #blobs: string;
	readonly #deposit: Deposit;
	readonly #index: ImageIndex;
	readonly #lock = new SharedLock();

	private constructor(blobs: string, deposit: Deposit, index: ImageIndex) {
		this.#blobs = blobs;
		this.#deposit = deposit;
		this.#index = index;
	}

	static async open(directory: string, deposit: Deposit): Promise<ImageStore> {
		const blobs = join(directory, "blobs", "sha256");
		await deposit.directory(blobs);
		const layout = join(directory, "oci-layout");
		if (!(await exists(layout))) await deposit.write(layout, Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
		return new ImageStore(blobs, deposit, await ImageIndex.open(join(directory, "index.json"), deposit));
	}

	/** Durable when it resolves. A blob that is there already is left untouched. */
	async putBlob(bytes: Bytes): Promise<PutBlob> {
		const staged = await this.#deposit.stage(bytes);
		try {
			const path = this.blobPath(staged.digest);
			const existed = await exists(path);
			if (!existed) await staged.place(path);
			return { digest: staged.digest, sizeBytes: staged.sizeBytes, existed };
		} finally {
			await staged.discard();
		}
	}

	hasBlob(digest: Digest): Promise<boolean> {
		return exists(this.blobPath(digest));
	}

	/** Bytes of a blob; undefined when there is none. */
	async blobSize(digest: Digest): Promise<number | undefined> {
		try {
			return (await stat(this.blobPath(digest))).size;
		} catch (error) {
			if (isMissing(error)) return undefined;
			throw error;
		}
	}

	/** Where a blob is, for reading. The file is never changed, only removed. */
	blobPath(digest: Digest): string {
		return join(this.#blobs, hexOf(digest));
	}

	/** A blob's bytes, verified. @throws BerthError `platform_error`: missing, or corrupt (and then removed) */
	readBlob(digest: Digest): Promise<Buffer> {
		return readVerified(this.blobPath(digest), digest);
	}

	/** Idempotent. For a blob that somebody found to be corrupt. */
	async removeBlob(digest: Digest): Promise<void> {
		await rm(this.blobPath(digest), { force: true });
	}

	/** Names a manifest (`default/hello:3`), taking the name from whatever had it. Durable when it resolves. */
	tag(name: string, manifest: Descriptor): Promise<void> {
		return this.#index.set(name, manifest);
	}

	/** Idempotent. */
	untag(...names: readonly string[]): Promise<void> {
		return this.#index.delete(names);
	}

	resolve(name: string): Descriptor | undefined {
		return this.#index.get(name);
	}

	/** Every name and its manifest. */
	tags(): readonly (readonly [name: string, manifest: Descriptor])[] {
		return this.#index.entries();
	}

	/** Keeps `collect` away from blobs that have no name yet; whoever puts blobs holds it until they are tagged. */
	hold(): Promise<Disposable> {
		return this.#lock.share();
	}

	/** Removes every blob that no tagged manifest leads to; how many. Waits for holds. */
	async collect(): Promise<number> {
		using _alone = await this.#lock.exclude();
		const reachable = await this.#reachable();
		let removed = 0;
		for (const name of await readdir(this.#blobs)) {
			const digest = `sha256:${name}`;
			if (isDigest(digest) && reachable.has(digest)) continue;
			await rm(join(this.#blobs, name), { force: true });
			removed++;
		}
		return removed;
	}

	async #reachable(): Promise<Set<Digest>> {
		const digests = new Set<Digest>();
		for (const [, manifest] of this.tags()) {
			digests.add(manifest.digest);
			const { config, layers } = JSON.parse((await this.readBlob(manifest.digest)).toString()) as {
				config: Descriptor;
				layers: Descriptor[];
			};
			for (const { digest } of [config, ...layers]) digests.add(digest);
		}
		return digests;
	}
}
