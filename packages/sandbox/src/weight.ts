import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { LIGHT_TIMES } from "./container-spec.js";

/** The least that either version of cgroups takes. */
const LEAST = 2;

/** What a sandbox weighs among the others, through the one file of its cgroup that the launcher gives the worker for it. */
export class Weight {
	/** As it was booted: what a runtime makes of shares on cgroup v2 is its own affair. */
	readonly #heavy: number;
	#fd: number | undefined;
	#now: number;

	/** @throws Error when the file isn't ours to write */
	constructor(file: string) {
		this.#heavy = Number(readFileSync(file, "latin1"));
		this.#now = this.#heavy;
		this.#fd = openSync(file, "r+");
	}

	/** It uses little, and comes before those that use much. */
	light(): void {
		this.#set(this.#heavy * LIGHT_TIMES);
	}

	/** It uses much. @param among how many of its project do, with it: by powers of two, so that one more or less of many isn't written each time */
	heavy(among: number): void {
		this.#set(Math.max(LEAST, Math.floor(this.#heavy / 2 ** Math.round(Math.log2(among)))));
	}

	close(): void {
		if (this.#fd !== undefined) closeSync(this.#fd);
		this.#fd = undefined;
	}

	/** Written only when it changes. */
	#set(weight: number): void {
		if (weight === this.#now || this.#fd === undefined) return;
		writeSync(this.#fd, `${weight}\n`, 0);
		this.#now = weight;
	}
}
