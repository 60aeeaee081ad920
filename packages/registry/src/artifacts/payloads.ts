import { randomBytes } from "node:crypto";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openDirectory } from "./files.js";

const KEY = /^[0-9a-f]{32}$/;

/** Bodies and logs too large for a message, by an unguessable key. Not fsynced: they are short-lived. */
export class PayloadDirectory {
	readonly #directory: string;

	private constructor(directory: string) {
		this.#directory = directory;
	}

	static async open(directory: string): Promise<PayloadDirectory> {
		await openDirectory(directory);
		return new PayloadDirectory(directory);
	}

	async put(bytes: Uint8Array): Promise<string> {
		const key = randomBytes(16).toString("hex");
		await writeFile(this.#path(key), bytes, { flag: "wx", mode: 0o600 });
		return key;
	}

	/** @throws Error when it has been removed */
	get(key: string): Promise<Buffer> {
		return readFile(this.#path(key));
	}

	async remove(key: string): Promise<void> {
		await rm(this.#path(key), { force: true });
	}

	/** Removes what is older. @returns how many */
	async sweep(olderThanMs: number): Promise<number> {
		const before = Date.now() - olderThanMs;
		let removed = 0;
		for (const name of await readdir(this.#directory)) {
			const path = join(this.#directory, name);
			const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
				if (error.code === "ENOENT") return undefined;
				throw error;
			});
			if (found === undefined || found.mtimeMs > before) continue;
			await rm(path, { force: true });
			removed++;
		}
		return removed;
	}

	#path(key: string): string {
		if (!KEY.test(key)) throw new Error(`${JSON.stringify(key)} isn't a payload's key`);
		return join(this.#directory, key);
	}
}
