import type { Manifest } from "@berth/contracts";
import type { Redis } from "@berth/redis";
import { keys } from "./keys.js";

/**
 * In Lua: `users(each)` calls `each(function, name)` for every network or volume that a version has which hasn't failed.
 * ARGV[1] and [2] are what keys of numbers and versions begin with.
 * @param names the key of the project's functions. @param visit Lua that calls `found(name)` for each that `manifest` names
 */
export const USERS = (names: string, visit: string) => `
local function users(each)
  for _, name in ipairs(redis.call('SMEMBERS', ${names})) do
    for _, number in ipairs(redis.call('ZRANGE', ARGV[1] .. name, 0, -1)) do
      local base, state = unpack(redis.call('HMGET', ARGV[2] .. name .. ':' .. number, 'base', 'state'))
      if base and state ~= 'failed' then
        local manifest = cjson.decode(base).manifest
        local function found(resource) each(name, resource) end
        ${visit}
      end
    end
  end
end`;

/** Versions that are read at once: of what may have many and large ones, Redis serves others between. */
const BATCH = 50;

/** What a function names, by one of its versions. */
export interface Use<Named> {
	readonly function: string;
	readonly named: Named;
}

/** The same for a list, without holding Redis up: a version that comes or goes meanwhile may be in it or not. */
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
