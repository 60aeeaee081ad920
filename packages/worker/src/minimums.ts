import type { Manifest, PoolChoice } from "@berth/contracts";
import { type FunctionRegistry, type ReadyAt, readyAt } from "@berth/registry";
import type { Minimum, Pool, VersionNames } from "@berth/sandbox";
import type { Logger } from "@berth/telemetry";

/** How often it is looked whether a window opens or ends, and whether what couldn't be read can be, milliseconds. */
const LOOK_MS = 1000;

export interface MinimumsOptions {
	readonly functions: Pick<FunctionRegistry, "warmFunctions" | "getFunction" | "getVersion" | "quotas">;
	readonly pool: Pick<Pool, "keepAtLeast">;
	/** Told of each version that is to be ready always, or at some times: it is wanted here sooner or later. */
	readonly expect: (of: VersionNames) => void;
	/** Whether this node may run it. */
	readonly isForHere: (manifest: Manifest) => boolean;
	readonly log: Pick<Logger, "warn">;
}

/** What a function has ready by the version that `live` leads to; of several the one with the largest share. */
interface Known {
	readonly of: VersionNames;
	readonly pool: PoolChoice;
	readonly memoryMiB: number;
	now: ReadyAt;
}

/** Tells the pool of how many sandboxes functions have ready always, and at some times; of each project as far as its quota goes. */
export class Minimums {
	readonly #options: MinimumsOptions;
	readonly #known = new Map<string, Known>();
	/** Functions to be read anew. */
	readonly #changed = new Set<string>();
	#areAllChanged = true;
	#isReading = false;
	#told = "[]";
	/** Projects whose quota is too small, as it was logged. */
	#cut = new Set<string>();
	#timer: NodeJS.Timeout | undefined;

	constructor(options: MinimumsOptions) {
		this.#options = options;
	}

	start(): void {
		this.#timer = setInterval(() => void this.look(), LOOK_MS);
		this.#timer.unref();
		void this.look();
	}

	stop(): void {
		clearInterval(this.#timer);
		this.#timer = undefined;
	}

	/** @param name `project/function`; undefined: any may have changed */
	changed(name: string | undefined): void {
		if (name === undefined) this.#areAllChanged = true;
		else this.#changed.add(name);
		if (this.#timer !== undefined) void this.look();
	}

	/** Reads what has changed, and tells the pool where that, or the time, makes a difference. */
	async look(): Promise<void> {
		if (this.#isReading) return;
		this.#isReading = true;
		try {
			await this.#read();
		} catch (err) {
			this.#options.log.warn({ err }, "which functions have sandboxes ready couldn't be read; what was known before holds");
		} finally {
			this.#isReading = false;
		}
		this.#tell(Date.now());
	}

	async #read(): Promise<void> {
		if (this.#areAllChanged) {
			// What changes meanwhile says so again.
			this.#areAllChanged = false;
			const all = await this.#options.functions.warmFunctions().catch((error: unknown) => {
				this.#areAllChanged = true;
				throw error;
			});
			for (const name of this.#known.keys()) this.#changed.add(name);
			for (const { project, function: name } of all) this.#changed.add(`${project}/${name}`);
		}
		for (const name of [...this.#changed]) {
			this.#changed.delete(name);
			await this.#readOne(name).catch((error: unknown) => {
				this.#changed.add(name);
				throw error;
			});
		}
	}

	async #readOne(key: string): Promise<void> {
		const { functions } = this.#options;
		const [project = "", name = ""] = key.split("/");
		const live = (await functions.getFunction(project, name))?.live;
		const manifest = live === undefined ? undefined : (await functions.getVersion(project, name, live))?.manifest;
		if (live === undefined || manifest?.pool === undefined || !this.#options.isForHere(manifest)) {
			this.#known.delete(key);
			return;
		}
		const { pool, memoryMiB } = manifest;
		const of = { project, function: name, version: live };
		this.#options.expect(of);
		this.#known.set(key, { of, pool, memoryMiB, now: readyAt(pool, Date.now()) });
	}

	#tell(nowMs: number): void {
		const minimums: Minimum[] = [];
		const usedMiB = new Map<string, number>();
		const cut = new Set<string>();
		for (const [, each] of [...this.#known].sort(([a], [b]) => (a < b ? -1 : 1))) {
			if (nowMs >= each.now.untilMs) each.now = readyAt(each.pool, nowMs);
			const { project } = each.of;
			const limit = this.#options.functions.quotas.of(project).warmMiB ?? Number.POSITIVE_INFINITY;
			const used = usedMiB.get(project) ?? 0;
			const sandboxes = Math.min(each.now.sandboxes, Math.floor((limit - used) / each.memoryMiB));
			if (sandboxes < each.now.sandboxes) cut.add(project);
			usedMiB.set(project, used + Math.max(0, sandboxes) * each.memoryMiB);
			if (sandboxes > 0) minimums.push({ ...each.of, sandboxes });
		}
		for (const project of cut)
			if (!this.#cut.has(project))
				this.#options.log.warn(
					{ project },
					"its functions ask for more sandboxes that are always ready than its quota warmMiB has room for",
				);
		this.#cut = cut;
		const told = JSON.stringify(minimums);
		if (told === this.#told) return;
		this.#told = told;
		this.#options.pool.keepAtLeast(minimums);
	}
}
