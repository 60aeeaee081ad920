import { access, type FileHandle, link, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { SECOND_MS } from "@berth/contracts";
import { isMissing } from "./blob.js";
import type { Deposit } from "./deposit.js";
import { writeError } from "./disk-full.js";
import { partOf } from "./payload-key.js";
import type { PayloadPlace } from "./payload-place.js";

/** Payloads as files of one directory. */
export class PayloadDirectory implements PayloadPlace {
	readonly countedForMs = 10 * SECOND_MS;
	readonly #directory: string;
	readonly #deposit: Deposit;

	private constructor(directory: string, deposit: Deposit) {
		this.#directory = directory;
		this.#deposit = deposit;
	}

	static async open(directory: string, deposit: Deposit): Promise<PayloadDirectory> {
		await deposit.directory(directory);
		return new PayloadDirectory(directory, deposit);
	}

	async put(key: string, bytes: Uint8Array, durable: boolean): Promise<void> {
		// Whoever has the key may be looking: it is there whole, or not yet.
		const path = this.#pathOf(partOf(key));
		try {
			await using file = await this.#deposit.create(path);
			await file.writeFile(bytes);
			if (durable) await file.sync();
			await rename(path, this.#pathOf(key));
			if (durable) await this.#syncNames();
		} catch (error) {
			await rm(path, { force: true });
			throw writeError(error);
		}
	}

	async find(key: string): Promise<Buffer | undefined> {
		return await unlessMissing(readFile(this.#pathOf(key)));
	}

	async has(key: string): Promise<boolean> {
		return (await unlessMissing(access(this.#pathOf(key)).then(() => true))) ?? false;
	}

	async remove(key: string): Promise<void> {
		await rm(this.#pathOf(key), { force: true });
	}

	async names(): Promise<readonly string[]> {
		return (await readdir(this.#directory)).sort();
	}

	async adopt(other: PayloadPlace, theirs: string, key: string, durable: boolean): Promise<boolean> {
		if (!(other instanceof PayloadDirectory)) throw new TypeError("only files become files of another name");
		try {
			await link(other.#pathOf(theirs), this.#pathOf(key));
			if (durable) await this.#syncNames();
			return true;
		} catch (error) {
			if (isMissing(error)) return false;
			throw writeError(error);
		}
	}

	/** What leads to the files. */
	async #syncNames(): Promise<void> {
		await using directory: FileHandle = await open(this.#directory, "r");
		await directory.sync();
	}

	#pathOf(key: string): string {
		return join(this.#directory, key);
	}
}

async function unlessMissing<Found>(asked: Promise<Found>): Promise<Found | undefined> {
	try {
		return await asked;
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw error;
	}
}
