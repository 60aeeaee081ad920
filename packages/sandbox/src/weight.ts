import { closeSync, openSync, writeSync } from "node:fs";
import { ONE_PROCESS } from "./container-spec.js";

/** The least that either version of cgroups takes. */
const LEAST = 2;

/** What a sandbox weighs among the others and the platform, through the one file of its cgroup that the launcher gives the worker for it. */
export class Weight {
	readonly #one: number;
	#fd: number | undefined;
	#now: number | undefined;

	/** @throws Error when the file isn't ours to write */
	constructor(file: string, version: 1 | 2) {
		this.#one = ONE_PROCESS[version];
		this.#fd = openSync(file, "r+");
	}

	/** @param processes as many busy processes of the default weight; to a power of two, so that it isn't written when one of many more comes or goes */
	set(processes: number): void {
		const weight = Math.max(LEAST, Math.floor(this.#one * 2 ** Math.round(Math.log2(processes))));
		if (weight === this.#now || this.#fd === undefined) return;
		writeSync(this.#fd, `${weight}\n`, 0);
		this.#now = weight;
	}

	close(): void {
		if (this.#fd !== undefined) closeSync(this.#fd);
		this.#fd = undefined;
	}
}
