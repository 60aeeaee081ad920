import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "@berth/contracts";
import { isThere, openDirectory, publish, temporaryIn } from "./files.js";

/** A blob whose bytes aren't what its name says. It has been removed: it is to be made again. */
export class CorruptBlobError extends Error {
	override readonly name = "CorruptBlobError";
}

/** Bytes by their sha256, in a directory (`blobs/sha256` of the OCI image layout, or `sources/sha256`). */
export class BlobDirectory {
	readonly #directory: string;

	private constructor(directory: string) {
		this.#directory = directory;
	}

	static async open(directory: string): Promise<BlobDirectory> {
		await openDirectory(directory);
		return new BlobDirectory(directory);
	}

	/** Stores bytes durably. A blob that is there already stays untouched. */
	async put(content: Uint8Array | AsyncIterable<Uint8Array>): Promise<{ readonly digest: Digest; readonly sizeBytes: number; readonly existed: boolean }> {
		const temporary = temporaryIn(this.#directory);
		const hash = createHash("sha256");
		let sizeBytes = 0;
		try {
			await using file = await open(temporary, "wx", 0o644);
			for await (const chunk of content instanceof Uint8Array ? [content] : content) {
				hash.update(chunk);
				sizeBytes += chunk.byteLength;
				await file.writeFile(chunk);
			}
			const digest: Digest = `sha256:${hash.digest("hex")}`;
			const existed = await this.has(digest);
			if (existed) await rm(temporary);
			else {
				await file.sync();
				await publish(temporary, this.path(digest));
			}
			return { digest, sizeBytes, existed };
		} catch (error) {
			await rm(temporary, { force: true });
			throw error;
		}
	}

	has(digest: Digest): Promise<boolean> {
		return isThere(this.path(digest));
	}

	path(digest: Digest): string {
		return join(this.#directory, digest.slice("sha256:".length));
	}

	/** The whole blob, its digest checked. @throws CorruptBlobError after removing it */
	async read(digest: Digest): Promise<Buffer> {
		const bytes = await readFile(this.path(digest));
		const actual = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
		if (actual !== digest) {
			await this.remove(digest);
			throw new CorruptBlobError(`blob ${digest} held the bytes of ${actual} and was removed; deploy again`);
		}
		return bytes;
	}

	/** The blob in chunks; whoever reads it checks the digest. */
	stream(digest: Digest): AsyncIterable<Buffer> {
		return createReadStream(this.path(digest), { highWaterMark: 1024 * 1024 });
	}

	async remove(digest: Digest): Promise<void> {
		await rm(this.path(digest), { force: true });
	}
}
