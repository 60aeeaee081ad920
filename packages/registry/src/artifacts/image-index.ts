import { readFile } from "node:fs/promises";
import { BerthError, isDigest, MEDIA_TYPES } from "@berth/contracts";
import { isMissing } from "./blob.js";
import type { Deposit } from "./deposit.js";
import type { Descriptor } from "./descriptor.js";

/** Where a descriptor's name stands, and when what it is of was made (OCI image spec, annotations.md). */
const REF_NAME = "org.opencontainers.image.ref.name";
export const CREATED = "org.opencontainers.image.created";
const NAME = /^[a-z0-9][a-z0-9-]*(?:[._/@:+][A-Za-z0-9][A-Za-z0-9-]*)*$/;

/** `index.json`: names of manifests. Kept in memory, rewritten whole; changes go one after another. */
export class ImageIndex {
	readonly #path: string;
	readonly #deposit: Deposit;
	readonly #manifests: Map<string, Descriptor>;
	#last: Promise<void> = Promise.resolve();
	/** Changes that aren't made yet, and the write that will have them. */
	readonly #waiting: (() => void)[] = [];
	#next: Promise<void> | undefined;
	/** Whether what is in memory is more than what is on disk. */
	#unsaved = false;

	private constructor(path: string, deposit: Deposit, manifests: Map<string, Descriptor>) {
		this.#path = path;
		this.#deposit = deposit;
		this.#manifests = manifests;
	}

	/** @throws BerthError `platform_error` when the file isn't an index */
	static async open(path: string, deposit: Deposit): Promise<ImageIndex> {
		const manifests = await readIndex(path);
		const index = new ImageIndex(path, deposit, manifests ?? new Map());
		// Only when there is none: this process may not be the one that writes.
		if (manifests === undefined) await index.#save();
		return index;
	}

	/** Names a manifest, taking the name from whatever had it. Durable when it resolves. */
	set(name: string, manifest: Descriptor): Promise<void> {
		if (!NAME.test(name)) throw new BerthError("platform_error", `${JSON.stringify(name)} can't name an image.`);
		if (!this.#unsaved && this.#manifests.get(name)?.digest === manifest.digest) return Promise.resolve();
		return this.#change(() => this.#manifests.set(name, manifest));
	}

	/** Idempotent. */
	delete(names: readonly string[]): Promise<void> {
		if (!names.some((name) => this.#manifests.has(name))) return Promise.resolve();
		return this.#change(() => {
			for (const name of names) this.#manifests.delete(name);
		});
	}

	get(name: string): Descriptor | undefined {
		return this.#manifests.get(name);
	}

	entries(): readonly (readonly [name: string, manifest: Descriptor])[] {
		return [...this.#manifests];
	}

	/** Changes that come while the file is written are written together, once. */
	#change(apply: () => void): Promise<void> {
		this.#waiting.push(apply);
		this.#next ??= this.#last.then(async () => {
			this.#next = undefined;
			for (const change of this.#waiting.splice(0)) change();
			this.#unsaved = true;
			await this.#save();
			this.#unsaved = false;
		});
		const done = this.#next;
		// The next change goes on after a failed one; who asked for that one is told.
		this.#last = done.catch(() => undefined);
		return done;
	}

	#save(): Promise<void> {
		const manifests = [...this.#manifests]
			.sort(([a], [b]) => (a < b ? -1 : 1))
			.map(([name, { mediaType, digest, size, annotations }]) => ({
				mediaType,
				digest,
				size,
				annotations: { ...annotations, [REF_NAME]: name },
			}));
		const index = { schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests };
		return this.#deposit.write(this.#path, Buffer.from(`${JSON.stringify(index, null, "\t")}\n`));
	}
}

async function readIndex(path: string): Promise<Map<string, Descriptor> | undefined> {
	try {
		const index = JSON.parse(await readFile(path, "utf8")) as { manifests: Descriptor[] };
		const named = index.manifests.map((entry) => [entry.annotations?.[REF_NAME] ?? "", entry] as const);
		return new Map(named.filter(([name, entry]) => name !== "" && isDigest(entry.digest)));
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw new BerthError("platform_error", `${path} can't be read as an OCI image index; move it away to start with an empty one.`, {
			cause: error,
		});
	}
}
