import type { Bucket } from "@berth/bucket";
import { BerthError, type Digest, isDigest } from "@berth/contracts";
import { digestOf, hexOf } from "./blob.js";
import type { SourceStore } from "./source-store.js";

const DIRECTORY = "sources/";
/** Of the name of a source that is about to go. */
const ASIDE = ".going";

/** Sources as objects of a bucket: for several machines. */
export class SourceBucket implements SourceStore {
	readonly #bucket: Bucket;
	/** What is of no use, and since when that is known here, by `performance.now`: a list says nothing of ages. */
	#useless = new Map<string, number>();

	constructor(bucket: Bucket) {
		this.#bucket = bucket;
	}

	async put(bytes: Uint8Array): Promise<Digest> {
		const digest = digestOf(bytes);
		this.#useless.delete(nameOf(digest));
		await this.#bucket.put(nameOf(digest), bytes);
		return digest;
	}

	async get(digest: Digest): Promise<Buffer> {
		const bytes = await this.#bucket.find(nameOf(digest));
		if (bytes === undefined) throw new BerthError("platform_error", `There is no source ${digest} in the payload store.`);
		if (digestOf(bytes) === digest) return bytes;
		throw new BerthError("platform_error", `The source ${digest} is corrupt in the payload store.`);
	}

	has(digest: Digest): Promise<boolean> {
		return this.#bucket.has(nameOf(digest));
	}

	async remove(digest: Digest, isUsed: (digest: Digest) => Promise<boolean>): Promise<void> {
		if (await isUsed(digest)) return;
		const name = nameOf(digest);
		if (!(await this.#bucket.copy(name, name + ASIDE))) return;
		await this.#bucket.remove(name);
		await this.#settle(name, !(await isUsed(digest).catch(() => true)));
	}

	async sweep(isUseless: (digest: Digest) => Promise<boolean>, olderThanMs: number): Promise<number> {
		const now = performance.now();
		const before = this.#useless;
		this.#useless = new Map();
		let removed = 0;
		for (const found of await this.#bucket.names(DIRECTORY)) {
			const name = DIRECTORY + found;
			const digest = `sha256:${found.replace(ASIDE, "")}`;
			if (!isDigest(digest)) continue;
			const since = before.get(name) ?? now;
			if (name.endsWith(ASIDE)) {
				// Whoever put it out of the way may have died since.
				if (now - since < olderThanMs) this.#useless.set(name, since);
				else await this.#settle(nameOf(digest), await isUseless(digest));
			} else if (await isUseless(digest)) {
				if (now - since < olderThanMs) this.#useless.set(name, since);
				else {
					await this.remove(digest, async (one) => !(await isUseless(one)));
					removed++;
				}
			}
		}
		return removed;
	}

	/** The end of what is out of the way. */
	async #settle(name: string, useless: boolean): Promise<void> {
		if (!useless) await this.#bucket.copy(name + ASIDE, name);
		await this.#bucket.remove(name + ASIDE);
	}
}

const nameOf = (digest: Digest) => DIRECTORY + hexOf(digest);
