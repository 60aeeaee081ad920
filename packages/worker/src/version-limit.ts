import { BerthError, type FunctionSummary, HOUR_MS, type Version } from "@berth/contracts";
import type { WorkerSource } from "@berth/queue";
import type { FunctionRegistry } from "@berth/registry";
import type { Logger } from "@berth/telemetry";

/** Not before: somebody may be about to lead an alias there, or back. */
const KEPT_MS = 24 * HOUR_MS;
/** Looked at in one go, the oldest first: what is left has its turn at the next change. */
const LOOKED_AT = 100;

export interface VersionLimitOptions {
	/** Versions of a function, the newest, that are never removed for their number. */
	readonly kept: number;
	readonly functions: Pick<FunctionRegistry, "getFunction" | "getVersion" | "numbersOf" | "removeVersion"> & {
		readonly store: Pick<FunctionRegistry["store"], "hasAllAliases">;
	};
	/** Whether invocations of a version may wait in the background. */
	readonly hasBackground: WorkerSource["hasBackground"];
	readonly log: Logger;
}

/**
 * Removes versions of a function beyond its newest so many, as a user would by hand. One stays that an alias leads to, or led to
 * before and is rolled back to, that is being built, that is younger than a day, or that was invoked in the background within one.
 * While versions come back that no alias leads to yet, all stay.
 */
export class VersionLimit {
	readonly #options: VersionLimitOptions;

	constructor(options: VersionLimitOptions) {
		this.#options = options;
	}

	/** @param name `project/name` of a function that may have one more */
	async keep(name: string): Promise<void> {
		const [project = "", functionName = ""] = name.split("/");
		const { functions, hasBackground, kept } = this.#options;
		const numbers = [...(await functions.numbersOf(project, functionName))].sort((a, b) => a - b);
		if (numbers.length <= kept) return;
		// Asked after the numbers and before the aliases: what came back by then has its aliases, too.
		if (!(await functions.store.hasAllAliases())) return;
		const summary = await functions.getFunction(project, functionName);
		if (summary === undefined) return;
		const inUse = usedBy(summary);
		const old = numbers.slice(0, -kept).filter((number) => !inUse.has(number));
		for (const number of old.slice(0, LOOKED_AT)) {
			const version = await functions.getVersion(project, functionName, number);
			if (version === undefined || !mayGo(version)) continue;
			if (!(await hasBackground({ project, function: functionName, version: number }))) await this.#remove(version);
		}
	}

	async #remove({ project, function: name, number }: Version): Promise<void> {
		const { functions, log } = this.#options;
		try {
			// A source that it was the last one of goes with the gateway's upkeep, which looks twice: it may just be deployed again.
			await functions.removeVersion(project, name, number);
			log.info({ project, function: name, version: number }, "a version beyond BERTH_VERSIONS_KEPT was removed");
		} catch (error) {
			// An alias was led there meanwhile, or somebody else removed it.
			const stays = error instanceof BerthError && ["version_in_use", "version_not_found", "function_not_found"].includes(error.code);
			if (!stays) throw error;
		}
	}
}

function usedBy({ aliases }: FunctionSummary): ReadonlySet<number> {
	return new Set(
		aliases.flatMap(({ weights, previous }) => [...Object.keys(weights).map(Number), ...(previous === undefined ? [] : [previous])]),
	);
}

function mayGo({ state, createdAt }: Version): boolean {
	return (state === "ready" || state === "failed") && Date.parse(createdAt) < Date.now() - KEPT_MS;
}
