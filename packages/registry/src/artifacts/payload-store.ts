import { randomBytes } from "node:crypto";
import { opendir, rm } from "node:fs/promises";
import { join } from "node:path";
import { BerthError } from "@berth/contracts";
import { isOlder, readExisting } from "./blob.js";
import type { Deposit } from "./deposit.js";

const KEY = /^[0-9a-f]{32}$/;

/** Bodies that are too large for a message, under random keys. Not fsynced: they go with what they belong to. */
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
	async put(bytes: Uint8Array): Promise<string> {
		const key = randomBytes(16).toString("hex");
		await using file = await this.#deposit.create(join(this.#directory, key));
		await file.writeFile(bytes);
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

	#pathOf(key: string): string {
		if (!KEY.test(key)) throw new BerthError("platform_error", `${JSON.stringify(key)} isn't the key of a payload.`);
		return join(this.#directory, key);
	}
}
