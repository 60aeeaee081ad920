import { isUtf8 } from "node:buffer";
import { randomBytes } from "node:crypto";
import { type FileHandle, open, opendir, rm } from "node:fs/promises";
import { join } from "node:path";
import { BerthError, type BodyReference, INLINE_BODY_BYTES } from "@berth/contracts";
import { isOlder, readExisting } from "./blob.js";
import type { Deposit } from "./deposit.js";

const KEY = /^[0-9a-f]{32}$/;

/**
 * How long a payload has to last: `durable` ones survive a power cut when `put` resolves, because something that was
 * acknowledged leads to them; `fleeting` ones go with the caller who waits.
 */
export type Durability = "durable" | "fleeting";

/** Bodies that are too large for a message, under random keys. */
export class PayloadStore {
	readonly #directory: string;
	readonly #deposit: Deposit;

	private constructor(directory: string, deposit: Deposit) {
		this.#directory = directory;
		this.#deposit = deposit;
	}

	static async open(directory: string, deposit: Deposit): Promise<PayloadStore> {
		await deposit.directory(directory);
		return new PayloadStore(directory, deposit);
	}

	/** Nobody knows the key before it resolves, so a half-written file is never read. */
	async put(bytes: Uint8Array, durability: Durability = "fleeting"): Promise<string> {
		const key = randomBytes(16).toString("hex");
		const path = join(this.#directory, key);
		await using file = await this.#deposit.create(path);
		try {
			await file.writeFile(bytes);
			if (durability === "durable") await this.#sync(file);
		} catch (error) {
			await rm(path, { force: true });
			throw error;
		}
		return key;
	}

	/** @throws BerthError `platform_error` when there is none, or the key isn't one */
	get(key: string): Promise<Buffer> {
		return readExisting(this.#pathOf(key), `payload ${key}`);
	}

	/** Idempotent. */
	async remove(key: string): Promise<void> {
		await rm(this.#pathOf(key), { force: true });
	}

	/** Bytes as a body: in the message when they are few, else a payload. */
	async putBody(bytes: Uint8Array, durability: Durability = "fleeting"): Promise<BodyReference> {
		if (bytes.byteLength > INLINE_BODY_BYTES) return { payload: await this.put(bytes, durability), sizeBytes: bytes.byteLength };
		const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		return isUtf8(buffer) ? { text: buffer.toString("utf8") } : { base64: buffer.toString("base64") };
	}

	/** The bytes of a body, wherever they are. A payload stays: an attempt may be tried again. @throws BerthError as `get` */
	async getBody(body: BodyReference): Promise<Buffer> {
		if ("payload" in body) return await this.get(body.payload);
		return "text" in body ? Buffer.from(body.text) : Buffer.from(body.base64, "base64");
	}

	/** Frees what a body has here; idempotent. */
	async removeBody(body: BodyReference): Promise<void> {
		if ("payload" in body) await this.remove(body.payload);
	}

	/** Removes payloads that were written more than `olderThanMs` ago; how many. */
	async sweep(olderThanMs: number): Promise<number> {
		const before = Date.now() - olderThanMs;
		let removed = 0;
		for await (const entry of await opendir(this.#directory)) {
			const path = join(this.#directory, entry.name);
			if (!(await isOlder(path, before))) continue;
			await rm(path, { force: true });
			removed++;
		}
		return removed;
	}

	/** The bytes, and the name that leads to them. */
	async #sync(file: FileHandle): Promise<void> {
		await file.sync();
		await using directory = await open(this.#directory, "r");
		await directory.sync();
	}

	#pathOf(key: string): string {
		if (!KEY.test(key)) throw new BerthError("platform_error", `${JSON.stringify(key)} isn't the key of a payload.`);
		return join(this.#directory, key);
	}
}
