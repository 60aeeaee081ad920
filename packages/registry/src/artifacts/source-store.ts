import { readdir, rename, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isDigest } from "@berth/contracts";
import { digestOf, exists, hexOf, isMissing, isOlder, readVerified } from "./blob.js";
import type { Deposit } from "./deposit.js";

/** Of the name of a source that is about to go. */
const ASIDE = ".going";

/** What was deployed, byte for byte, by digest. */
export interface SourceStore {
	/** Durable when it resolves. What is there already stays, and counts as new for `sweep`. */
	put(bytes: Uint8Array): Promise<Digest>;
	/** @throws BerthError `platform_error`: missing, or corrupt; `unavailable` where it is elsewhere */
	get(digest: Digest): Promise<Buffer>;
	has(digest: Digest): Promise<boolean>;
	/**
	 * Removes what nothing uses. It is asked for again once the source is out of the way: whoever puts one looks for it after it is
	 * on record what it is of, so either that is seen here or the source is put again there. Idempotent.
	 */
	remove(digest: Digest, isUsed: (digest: Digest) => Promise<boolean>): Promise<void>;
	/** Removes sources that were put more than `olderThanMs` ago and are of no use; how many. */
	sweep(isUseless: (digest: Digest) => Promise<boolean>, olderThanMs: number): Promise<number>;
}

/** Sources as files of this machine. */
export class SourceDirectory implements SourceStore {
	readonly #directory: string;
	readonly #deposit: Deposit;

	private constructor(directory: string, deposit: Deposit) {
		this.#directory = directory;
		this.#deposit = deposit;
	}

	static async open(directory: string, deposit: Deposit): Promise<SourceDirectory> {
		await deposit.directory(directory);
		return new SourceDirectory(directory, deposit);
	}

	async put(bytes: Uint8Array): Promise<Digest> {
		const digest = digestOf(bytes);
		const path = this.#pathOf(digest);
		if (!(await renewed(path))) await this.#deposit.write(path, bytes);
		return digest;
	}

	/** One that is corrupt is removed. */
	get(digest: Digest): Promise<Buffer> {
		return readVerified(this.#pathOf(digest), digest);
	}

	has(digest: Digest): Promise<boolean> {
		return exists(this.#pathOf(digest));
	}

	async remove(digest: Digest, isUsed: (digest: Digest) => Promise<boolean>): Promise<void> {
		if (await isUsed(digest)) return;
		const path = this.#pathOf(digest);
		const aside = `${path}${ASIDE}`;
		if (!(await moved(path, aside))) return;
		// Who can't be asked may use it.
		const used = await isUsed(digest).catch(() => true);
		if (used) await moved(aside, path);
		else await rm(aside, { force: true });
	}

	async sweep(isUseless: (digest: Digest) => Promise<boolean>, olderThanMs: number): Promise<number> {
		const before = Date.now() - olderThanMs;
		let removed = 0;
		for (const name of await readdir(this.#directory)) {
			const digest = `sha256:${name}`;
			if (name.endsWith(ASIDE)) await this.#sweepAside(name, isUseless, before);
			if (!isDigest(digest) || !(await isOlder(this.#pathOf(digest), before)) || !(await isUseless(digest))) continue;
			await this.remove(digest, async (one) => !(await isUseless(one)));
			removed++;
		}
		return removed;
	}

	/** One that was out of the way when its process was killed: it may have been of use by then. */
	async #sweepAside(name: string, isUseless: (digest: Digest) => Promise<boolean>, before: number): Promise<void> {
		const aside = join(this.#directory, name);
		const digest = `sha256:${name.slice(0, -ASIDE.length)}`;
		if (!isDigest(digest) || !(await isOlder(aside, before))) return;
		if (await isUseless(digest)) await rm(aside, { force: true });
		else await moved(aside, this.#pathOf(digest));
	}

	#pathOf(digest: Digest): string {
		return join(this.#directory, hexOf(digest));
	}
}

/** Renames a file; false when there is none. */
async function moved(from: string, to: string): Promise<boolean> {
	try {
		await rename(from, to);
		return true;
	} catch (error) {
		if (isMissing(error)) return false;
		throw error;
	}
}

/** Makes a file look as if it were written now; false when there is none. */
async function renewed(path: string): Promise<boolean> {
	const now = new Date();
	try {
		await utimes(path, now, now);
		return true;
	} catch (error) {
		if (isMissing(error)) return false;
		throw error;
	}
}
