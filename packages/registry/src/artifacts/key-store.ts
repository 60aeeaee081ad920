import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "./blob.js";
import type { Deposit } from "./deposit.js";

/**
 * What was made from which inputs: small JSON values under the hash of what they were made from. It is
 * only memory: whoever reads a value checks that what it names is still there.
 */
export class KeyStore {
	readonly #directory: string;
	readonly #deposit: Deposit;

	private constructor(directory: string, deposit: Deposit) {
		this.#directory = directory;
		this.#deposit = deposit;
	}

	static async open(directory: string, deposit: Deposit): Promise<KeyStore> {
		await deposit.directory(directory);
		return new KeyStore(directory, deposit);
	}

	/** The value, unchecked JSON; undefined when nothing usable is remembered. */
	async get(key: string): Promise<unknown> {
		return readValue(this.#pathOf(key));
	}

	async put(key: string, value: unknown): Promise<void> {
		await this.#deposit.write(this.#pathOf(key), Buffer.from(JSON.stringify(value)));
	}

	/** Forgets every value for which `keep` is false; how many. */
	async prune(keep: (value: unknown) => boolean | Promise<boolean>): Promise<number> {
		let removed = 0;
		for (const name of await readdir(this.#directory)) {
			const path = join(this.#directory, name);
			const value = await readValue(path);
			if (value !== undefined && (await keep(value))) continue;
			await rm(path, { force: true });
			removed++;
		}
		return removed;
	}

	/** A key may be any text: the file is named by its hash. */
	#pathOf(key: string): string {
		return join(this.#directory, createHash("sha256").update(key).digest("hex"));
	}
}

async function readValue(path: string): Promise<unknown> {
	try {
		return JSON.parse(await readFile(path, "utf8"));
	} catch (error) {
		if (isMissing(error) || error instanceof SyntaxError) return undefined;
		throw error;
	}
}
