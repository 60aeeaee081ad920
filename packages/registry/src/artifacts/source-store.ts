import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "@berth/contracts";
import { digestOf, exists, hexOf, readVerified } from "./blob.js";
import type { Deposit } from "./deposit.js";

/** What was deployed, byte for byte, by digest. */
export class SourceStore {
	readonly #directory: string;
	readonly #deposit: Deposit;

	private constructor(directory: string, deposit: Deposit) {
		this.#directory = directory;
		this.#deposit = deposit;
	}

	static async open(directory: string, deposit: Deposit): Promise<SourceStore> {
		await deposit.directory(directory);
		return new SourceStore(directory, deposit);
	}

	/** Durable when it resolves. What is there already is left as it is. */
	async put(bytes: Uint8Array): Promise<Digest> {
		const digest = digestOf(bytes);
		const path = this.#pathOf(digest);
		if (!(await exists(path))) await this.#deposit.write(path, bytes);
		return digest;
	}

	/** @throws BerthError `platform_error`: missing, or corrupt (and then removed) */
	get(digest: Digest): Promise<Buffer> {
		return readVerified(this.#pathOf(digest), digest);
	}

	has(digest: Digest): Promise<boolean> {
		return exists(this.#pathOf(digest));
	}

	/** Idempotent. */
	async remove(digest: Digest): Promise<void> {
		await rm(this.#pathOf(digest), { force: true });
	}

	#pathOf(digest: Digest): string {
		return join(this.#directory, hexOf(digest));
	}
}
