import { closeSync, openSync, writeSync } from "node:fs";
import type { CgroupPaths } from "@berth/contracts";

const WORDS = { 1: { freeze: "FROZEN", thaw: "THAWED" }, 2: { freeze: "1", thaw: "0" } } as const;

/**
 * Stops and resumes everything in a sandbox, through the one file of its cgroup that the launcher
 * gives the worker: a write of 0.1 ms instead of a question to another process.
 */
export class Freezer {
	readonly #words: { readonly freeze: string; readonly thaw: string };
	#fd: number | undefined;

	/** @throws Error when the file isn't ours to write */
	constructor({ version, freezer }: CgroupPaths) {
		this.#words = WORDS[version];
		this.#fd = openSync(freezer, "r+");
	}

	freeze(): void {
		this.#write(this.#words.freeze);
	}

	thaw(): void {
		this.#write(this.#words.thaw);
	}

	close(): void {
		if (this.#fd !== undefined) closeSync(this.#fd);
		this.#fd = undefined;
	}

	#write(word: string): void {
		if (this.#fd !== undefined) writeSync(this.#fd, word, 0);
	}
}
