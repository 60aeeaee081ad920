import type { Manifest } from "@berth/contracts";
import type { Redis } from "@berth/redis";
import { keys } from "./keys.js";

/** Versions that are read at once: of what may have many and large ones, Redis serves others between. */
const BATCH = 50;

/** What a function names, by one of its versions. */
export interface Use<Named> {
	readonly function: string;
	readonly named: Named;
}

/** What the versions of a project name that haven't failed, for a list, without holding Redis up: one that comes or goes meanwhile may be in it or not. */
export async function usesOf<Named>(
	redis: Redis,
	project: string,
	namedBy: (manifest: Manifest) => readonly Named[],
): Promise<readonly Use<Named>[]> {
	const uses: Use<Named>[] = [];
	for (const name of await redis.smembers(keys.names(project))) {
		const numbers = await redis.zrange(keys.numbers(project, name), 0, "-1");
		for (let at = 0; at < numbers.length; at += BATCH) {
			const batch = numbers
				.slice(at, at + BATCH)
				.map((number) => redis.hmget(keys.version(project, name, Number(number)), "base", "state"));
			for (const [base, state] of await Promise.all(batch)) {
				if (typeof base !== "string" || state === "failed") continue;
				const { manifest } = JSON.parse(base) as { readonly manifest: Manifest };
				uses.push(...namedBy(manifest).map((named) => ({ function: name, named })));
			}
		}
	}
	return uses;
}

/** The functions of each name. */
export function usersByName(uses: readonly Use<string>[]): (name: string) => readonly string[] {
	const users = Map.groupBy(uses, ({ named }) => named);
	return (name) => [...new Set(users.get(name)?.map((use) => use.function))].sort();
}
