import { closeSync, openSync, writeSync } from "node:fs";

/** Stops and resumes everything in a sandbox. What takes no time is done at once; else there is something to wait for. */
export interface Freezer {
	freeze(): Promise<void> | undefined;
	thaw(): Promise<void> | undefined;
	close(): void;
}

const WORDS = { 1: { freeze: "FROZEN", thaw: "THAWED" }, 2: { freeze: "1", thaw: "0" } } as const;

/** Through the one file of its cgroup that the launcher gives the worker: a write of 0.1 ms instead of a question to another process. */
export class CgroupFreezer implements Freezer {
	readonly #words: { readonly freeze: string; readonly thaw: string };
	#fd: number | undefined;

	/** @throws Error when the file isn't ours to write */
	constructor(version: 1 | 2, file: string) {
		this.#words = WORDS[version];
		this.#fd = openSync(file, "r+");
	}

	freeze(): undefined {
		this.#write(this.#words.freeze);
	}

	thaw(): undefined {
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
