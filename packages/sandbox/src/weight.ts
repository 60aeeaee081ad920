import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { HEAVY_PART } from "./container-spec.js";

/** The least that cgroup v2 knows (v1: 2, below any sixteenth of ours). */
const LEAST = 1;

/** What a sandbox weighs among the others, through the one file of its cgroup that the launcher gives the worker for it. */
export class Weight {
	readonly #words: { readonly light: string; readonly heavy: string };
	#fd: number | undefined;
	#isHeavy = false;

	/** @throws Error when the file isn't ours to write */
	constructor(file: string) {
		const light = Number(readFileSync(file, "latin1"));
		this.#words = { light: `${light}\n`, heavy: `${Math.max(LEAST, Math.floor(light * HEAVY_PART))}\n` };
		this.#fd = openSync(file, "r+");
	}

	/** Written only when it changes. */
	set(isHeavy: boolean): void {
		if (isHeavy === this.#isHeavy || this.#fd === undefined) return;
		writeSync(this.#fd, isHeavy ? this.#words.heavy : this.#words.light, 0);
		this.#isHeavy = isHeavy;
	}

	close(): void {
		if (this.#fd !== undefined) closeSync(this.#fd);
		this.#fd = undefined;
	}
}
