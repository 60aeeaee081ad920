import type { Manifest } from "@berth/contracts";
import type { NodeInfo } from "@berth/queue";
import type { Pool, VersionNames } from "@berth/sandbox";
import type { Logger } from "@berth/telemetry";
import type { ReadyVersions } from "../versions.js";

/** Versions that wait to be brought here, at most: with one that comes last the first is forgotten. */
const MOST_WANTED = 64;

export interface ImagesAheadOptions {
	readonly versions: Pick<ReadyVersions, "get">;
	readonly pool: Pick<Pool, "bring">;
	/** Whether this node may run it. */
	readonly isForHere: (manifest: Manifest) => boolean;
	readonly log: Pick<Logger, "debug">;
}

/**
 * Brings images to this node before anybody asks for them: those of versions that are to be ready always, or at some times, and when the node
 * joins those that others have sandboxes of. One at a time, behind whatever an invocation needs. What can't be had is brought at its first need.
 */
export class ImagesAhead {
	readonly #options: ImagesAheadOptions;
	readonly #wanted = new Map<string, VersionNames>();
	#isBringing = false;
	#stopped = false;

	constructor(options: ImagesAheadOptions) {
		this.#options = options;
	}

	want(of: VersionNames): void {
		const key = `${of.project}/${of.function}:${of.version}`;
		this.#wanted.set(key, of);
		const [first] = this.#wanted.size > MOST_WANTED ? this.#wanted.keys() : [];
		if (first !== undefined) this.#wanted.delete(first);
		if (this.#stopped) return;
		if (!this.#isBringing) void this.#bringAll();
	}

	/** What other nodes have sandboxes of, of each of them the last used first; as much of it as is remembered. */
	wantWarm(others: readonly Pick<NodeInfo, "load">[]): void {
		const lists = others.map(({ load }) => load?.warm ?? []);
		const longest = Math.max(0, ...lists.map(({ length }) => length));
		const inTurns = Array.from({ length: longest }, (_, at) => lists.flatMap((list) => list[at] ?? [])).flat();
		for (const key of [...new Set(inTurns)].slice(0, MOST_WANTED)) {
			const [, project, name, version] = /^([^/]+)\/([^:]+):(\d+)$/.exec(key) ?? [];
			if (project !== undefined && name !== undefined) this.want({ project, function: name, version: Number(version) });
		}
	}

	/** Begins nothing more. */
	stop(): void {
		this.#stopped = true;
	}

	async #bringAll(): Promise<void> {
		this.#isBringing = true;
		for (let next = this.#take(); next !== undefined && !this.#stopped; next = this.#take()) await this.#bring(next);
		this.#isBringing = false;
	}

	#take(): VersionNames | undefined {
		const [first] = this.#wanted;
		if (first === undefined) return undefined;
		this.#wanted.delete(first[0]);
		return first[1];
	}

	async #bring(of: VersionNames): Promise<void> {
		const { versions, pool, isForHere, log } = this.#options;
		try {
			const version = await versions.get(of.project, of.function, of.version);
			if (isForHere(version.manifest)) await pool.bring(version, of);
		} catch (err) {
			log.debug({ err, ...of }, "an image couldn't be brought ahead of need; it is when it is needed");
		}
	}
}
