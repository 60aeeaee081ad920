import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { LIGHT_TIMES } from "./container-spec.js";

/** What a sandbox weighs among the others, through the one file of its cgroup that the launcher gives the worker for it. */
export class Weight {
	readonly #words: { readonly light: string; readonly heavy: string };
	#fd: number | undefined;
	#isHeavy = true;

	/** @throws Error when the file isn't ours to write */
	constructor(file: string) {
		// As it was booted: what a runtime makes of shares on cgroup v2 is its own affair.
		const heavy = Number(readFileSync(file, "latin1"));
		this.#words = { light: `${heavy * LIGHT_TIMES}\n`, heavy: `${heavy}\n` };
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
