import type { Version } from "@berth/contracts";
import type { Changes } from "./changes.js";

/** A remembered version may be this old when the news of its change got lost, milliseconds. */
const REMEMBERED_MS = 1000;

interface Remembered {
	readonly version: Version;
	readonly untilMs: number;
}

/** The versions that answer for names, remembered for a second at most. Of callers at the same time only one reads. */
export class LiveVersions {
	readonly #read: (project: string, name: string) => Promise<Version>;
	readonly #known = new Map<string, Remembered>();
	readonly #reading = new Map<string, Promise<Version>>();

	/** @param read finds the version; what it throws is thrown on */
	constructor(changes: Changes, read: (project: string, name: string) => Promise<Version>) {
		this.#read = read;
		changes.listen((key) => this.forget(key));
	}

	async get(project: string, name: string): Promise<Version> {
		const key = `${project}/${name}`;
		const known = this.#known.get(key);
		if (known !== undefined && known.untilMs > performance.now()) return known.version;
		return await (this.#reading.get(key) ?? this.#find(key, project, name));
	}

	/** Whoever asks from now on reads anew. @param key `project/name`; undefined: all of them */
	forget(key: string | undefined): void {
		if (key === undefined) {
			this.#known.clear();
			this.#reading.clear();
		} else {
			this.#known.delete(key);
			this.#reading.delete(key);
		}
	}

	#find(key: string, project: string, name: string): Promise<Version> {
		const reading = this.#read(project, name)
			.then((version) => {
				// What was forgotten while it was read may be old already.
				if (this.#reading.get(key) === reading) this.#known.set(key, { version, untilMs: performance.now() + REMEMBERED_MS });
				return version;
			})
			.finally(() => {
				if (this.#reading.get(key) === reading) this.#reading.delete(key);
			});
		this.#reading.set(key, reading);
		return reading;
	}
}
