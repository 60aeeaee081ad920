import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { BerthError, type Digest, isDigest } from "@berth/contracts";
import { AbsentBlob, exists, hexOf, isMissing, readVerified, streamVerified } from "./blob.js";
import type { BlobOrigin } from "./blob-origin.js";
import type { Bytes, Deposit, ScratchFile } from "./deposit.js";
import type { Descriptor } from "./descriptor.js";
import { CREATED, ImageIndex } from "./image-index.js";
import { readFromLayer } from "./layer-reader.js";
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
	readonly #origin: BlobOrigin | undefined;
	readonly #coming = new Map<Digest, Promise<void>>();
	/** What manifests lead to that were read once, and what their file was then. */
	readonly #ledTo = new Map<Digest, { readonly stamp: string; readonly digests: readonly Digest[] }>();

	private constructor(blobs: string, deposit: Deposit, index: ImageIndex, origin: BlobOrigin | undefined) {
		this.#blobs = blobs;
		this.#deposit = deposit;
		this.#index = index;
		this.#origin = origin;
	}

	/** @param origin what is asked for blobs that are missing or corrupt. Default: they stay so until they are made again */
	static async open(directory: string, deposit: Deposit, origin?: BlobOrigin): Promise<ImageStore> {
		const blobs = join(directory, "blobs", "sha256");
		await deposit.directory(blobs);
		const layout = join(directory, "oci-layout");
		if (!(await exists(layout))) await deposit.write(layout, Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
		return new ImageStore(blobs, deposit, await ImageIndex.open(join(directory, "index.json"), deposit), origin);
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

	/** Room for what becomes a blob later, in the same file system. */
	scratchFile(): Promise<ScratchFile> {
		return this.#deposit.scratch();
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

	/**
	 * A blob's bytes, verified; brought from the origin when they are missing or corrupt.
	 * @throws BerthError `platform_error`: missing, or corrupt (and then removed); `registry_failed` when the origin can't be asked
	 */
	async readBlob(digest: Digest): Promise<Buffer> {
		try {
			return await readVerified(this.blobPath(digest), digest);
		} catch (error) {
			if (!(error instanceof AbsentBlob) || this.#origin === undefined) throw error;
			await this.#bring(digest, this.#origin, error);
			return await readVerified(this.blobPath(digest), digest);
		}
	}

	/**
	 * A blob's bytes in pieces, verified at the end. One that turns out to be corrupt was read in part already: it is removed, and
	 * whoever asks again has it brought. @throws BerthError as `readBlob`
	 */
	async *streamBlob(digest: Digest): AsyncGenerator<Buffer, void> {
		if (this.#origin !== undefined && !(await this.hasBlob(digest)))
			await this.#bring(digest, this.#origin, new Error(`There is no blob ${digest} in the artifact store.`));
		yield* streamVerified(this.blobPath(digest), digest);
	}

	/** Whether a blob's bytes are those of its name; a corrupt one is removed. */
	async isIntact(digest: Digest): Promise<boolean> {
		try {
			for await (const _ of streamVerified(this.blobPath(digest), digest));
			return true;
		} catch (error) {
			if (error instanceof AbsentBlob) return false;
			throw error;
		}
	}

	/** Whether a blob is here, or can be brought. */
	async isObtainable(digest: Digest): Promise<boolean> {
		return (await this.hasBlob(digest)) || (await this.#origin?.has(digest)) === true;
	}

	/** One file of a layer that we wrote; undefined when the layer is gone, or has no such file. */
	async readFile(layer: Digest, path: string): Promise<Buffer | undefined> {
		try {
			return await readFromLayer(this.blobPath(layer), path);
		} catch (error) {
			if (isMissing(error)) return undefined;
			throw error;
		}
	}

	/** Idempotent. For a blob that somebody found to be corrupt. */
	async removeBlob(digest: Digest): Promise<void> {
		await rm(this.blobPath(digest), { force: true });
	}

	/**
	 * Names a manifest (`default/hello:3`), taking the name from whatever had it. Durable when it resolves.
	 * @param createdAt when what it is of was made, ISO 8601: kept beside the name, as no time is in an image
	 */
	tag(name: string, { mediaType, digest, size }: Descriptor, createdAt?: string): Promise<void> {
		return this.#index.set(name, {
			mediaType,
			digest,
			size,
			...(createdAt === undefined ? {} : { annotations: { [CREATED]: createdAt } }),
		});
	}

	/** When what a name is of was made, if that is known. */
	createdAt(name: string): string | undefined {
		return this.#index.get(name)?.annotations?.[CREATED];
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

	/** Keeps holds and `collect` away; waits for those there are. */
	alone(): Promise<Disposable> {
		return this.#lock.exclude();
	}

	/** Every blob and its size, bytes. */
	async blobs(): Promise<ReadonlyMap<Digest, number>> {
		const found = new Map<Digest, number>();
		for (const name of await readdir(this.#blobs)) {
			const digest = `sha256:${name}`;
			const size = isDigest(digest) ? await this.blobSize(digest) : undefined;
			if (size !== undefined) found.set(digest as Digest, size);
		}
		return found;
	}

	/**
	 * Removes every blob that no tagged manifest leads to; how many. Waits for holds.
	 * @param mend is told of each name whose manifest is missing or corrupt: it makes the manifest again, or takes the name away
	 * @throws BerthError `platform_error` when a manifest stays unreadable: nothing is removed then, as nobody knows what it needs
	 */
	async collect(mend: (name: string, error: BerthError) => Promise<void>): Promise<number> {
		using _alone = await this.#lock.exclude();
		const found = await this.#reachable();
		for (const [name, error] of found.unreadable) await mend(name, error);
		const { reachable, unreadable } = found.unreadable.size === 0 ? found : await this.#reachable();
		if (unreadable.size > 0) {
			const which = [...unreadable.keys()].join(", ");
			throw new BerthError("platform_error", `Nothing is collected: what ${which} needs isn't known, its manifest can't be read.`);
		}
		let removed = 0;
		for (const name of await readdir(this.#blobs)) {
			const digest = `sha256:${name}`;
			if (isDigest(digest) && reachable.has(digest)) continue;
			await rm(join(this.#blobs, name), { force: true });
			this.#ledTo.delete(digest as Digest);
			removed++;
		}
		return removed;
	}

	/** What every name leads to, and the names whose manifest can't be read. */
	async #reachable(): Promise<{ readonly reachable: ReadonlySet<Digest>; readonly unreadable: ReadonlyMap<string, BerthError> }> {
		const reachable = new Set<Digest>();
		const unreadable = new Map<string, BerthError>();
		for (const [name, manifest] of this.tags()) {
			try {
				for (const digest of await this.digestsOf(manifest.digest)) reachable.add(digest);
			} catch (error) {
				if (!(error instanceof BerthError)) throw error;
				unreadable.set(name, error);
			}
		}
		return { reachable, unreadable };
	}

	/** What changes with a file; undefined when it is gone. */
	async #stampOf(digest: Digest): Promise<string | undefined> {
		try {
			const { mtimeMs, size, ino } = await stat(this.blobPath(digest));
			return `${ino} ${mtimeMs} ${size}`;
		} catch (error) {
			if (isMissing(error)) return undefined;
			throw error;
		}
	}

	/** Once for all who want it now. */
	#bring(digest: Digest, origin: BlobOrigin, why: Error): Promise<void> {
		const coming = this.#coming.get(digest) ?? this.#bringNow(digest, origin, why).finally(() => this.#coming.delete(digest));
		this.#coming.set(digest, coming);
		return coming;
	}

	async #bringNow(digest: Digest, origin: BlobOrigin, why: Error): Promise<void> {
		try {
			await this.putBlob(origin.read(digest));
		} catch (cause) {
			if (!(cause instanceof BerthError)) throw cause;
			// That the registry hasn't got it is no mistake of whoever wants it.
			const code = cause.code === "registry_failed" ? cause.code : "platform_error";
			throw new BerthError(code, `${why.message} ${cause.message}`, { cause });
		}
		origin.onBrought(digest, why.message);
	}

	/** A manifest, its config and its layers. @throws BerthError as `readBlob` */
	async digestsOf(manifest: Digest): Promise<readonly Digest[]> {
		const known = this.#ledTo.get(manifest);
		if (known !== undefined && known.stamp === (await this.#stampOf(manifest))) return known.digests;
		const { config, layers } = JSON.parse((await this.readBlob(manifest)).toString()) as {
			config: Descriptor;
			layers: Descriptor[];
		};
		const digests = [manifest, config.digest, ...layers.map(({ digest }) => digest)];
		this.#ledTo.set(manifest, { stamp: (await this.#stampOf(manifest)) ?? "", digests });
		return digests;
	}
}
