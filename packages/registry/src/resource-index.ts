import { guarded, LuaScript, type Redis } from "@berth/redis";
import { keys } from "./keys.js";

/**
 * In Lua: `changeUsers('SADD' or 'SREM', version, base)` says that a version (`project/name:number`) has the secrets, volumes and network that its
 * manifest names, or hasn't any more. Every script that makes a version, has it fail or removes it says so in the same step.
 */
export const CHANGE_USERS = `
local function changeUsers(command, version, base)
  local users, manifest = '${keys.resourceUsers("")}' .. string.match(version, '^[^/]+/'), cjson.decode(base).manifest
  for _, secret in ipairs(manifest.secrets or {}) do
    redis.call(command, users .. 'secret/' .. (type(secret) == 'table' and secret.name or secret), version)
  end
  for _, volume in ipairs(manifest.volumes or {}) do redis.call(command, users .. 'volume/' .. volume.name, version) end
  if type(manifest.network) == 'table' and manifest.network.join then
    redis.call(command, users .. 'network/' .. manifest.network.join, version)
  end
end
`;

/**
 * In Lua: gives `unknown`, or `used` and by which versions, before anything is removed.
 * @param counted the key of projects whose versions are all counted. @param users that of what is about to be removed. @param project its name
 */
export const REFUSE_USED = (counted: string, users: string, project: string) => `
if redis.call('SISMEMBER', ${counted}, ${project}) == 0 then return {'unknown'} end
local used = redis.call('SMEMBERS', ${users})
if #used > 0 then
  table.insert(used, 1, 'used')
  return used
end`;

/** ARGV what keys of versions begin with, versions. Those that are there and haven't failed have what they name. */
const COUNT = new LuaScript(`${CHANGE_USERS}
for i = 2, #ARGV do
  local base, state = unpack(redis.call('HMGET', ARGV[1] .. ARGV[i], 'base', 'state'))
  if base and state ~= 'failed' then changeUsers('SADD', ARGV[i], base) end
end
return 1`);

/** KEYS users. ARGV what keys of versions begin with, versions. Those that are gone or have failed have nothing. Gives how many those were. */
const FORGET_GONE = new LuaScript(`
local forgotten = 0
for i = 2, #ARGV do
  local base, state = unpack(redis.call('HMGET', ARGV[1] .. ARGV[i], 'base', 'state'))
  if not base or state == 'failed' then forgotten = forgotten + redis.call('SREM', KEYS[1], ARGV[i]) end
end
return forgotten`);

/** Versions that are looked at in one go: Redis serves others between. */
const BATCH = 50;

export type Resource = "secret" | "volume" | "network";

/** What a removal came to: `used` has the names of functions, each once, in order. */
interface Removal {
	readonly word: string;
	readonly functions: readonly string[];
}

/**
 * Removes what versions may have, by a script that has `REFUSE_USED`. Records from before there was such an index are counted first, once for a project
 * and start of a gateway (`countAnew`), and for volumes each time: their data is lost with them, and an older release beside this one writes versions, and
 * removes them, without the index.
 * @param run with the keys of `REFUSE_USED`: projects that are counted, users
 */
export async function removeUnused(
	redis: Redis,
	project: string,
	resource: Resource,
	name: string,
	run: (keys: readonly [string, string]) => Promise<unknown>,
): Promise<Removal> {
	const users = `${keys.resourceUsers(project)}/${resource}/${name}`;
	const count = () => guarded(redis, `counting what versions of ${project} have`, () => countAll(redis, project));
	if (resource === "volume") await count();
	for (;;) {
		const answer = await guarded(redis, `removing the ${resource} ${name}`, () => run([keys.countedProjects, users]));
		const [word = "", ...versions] = answer as readonly string[];
		if (word === "unknown") await count();
		else if (word !== "used" || !(await guarded(redis, `looking at who has ${name}`, () => forgetGone(redis, users, versions))))
			return {
				word,
				functions: [...new Set(versions.map((version) => version.slice(project.length + 1, version.lastIndexOf(":"))))].sort(),
			};
	}
}

/** What versions have is counted once more, before something is removed next: an older release may have written some without saying so. @throws BerthError unavailable */
export async function countAnew(redis: Redis): Promise<void> {
	await guarded(redis, "having it counted anew what versions have", () => redis.del(keys.countedProjects));
}

/** @returns whether there were any */
async function forgetGone(redis: Redis, users: string, versions: readonly string[]): Promise<boolean> {
	let forgotten = 0;
	for (let at = 0; at < versions.length; at += BATCH)
		forgotten += Number(await FORGET_GONE.run(redis, [users], [keys.versions, ...versions.slice(at, at + BATCH)]));
	return forgotten > 0;
}

/** What is made, fails or goes meanwhile says so itself. */
async function countAll(redis: Redis, project: string): Promise<void> {
	const beginning = keys.versions;
	for (const name of await redis.smembers(keys.names(project))) {
		const versions = (await redis.zrange(keys.numbers(project, name), 0, "-1")).map((number) => `${project}/${name}:${number}`);
		for (let at = 0; at < versions.length; at += BATCH) await COUNT.run(redis, [], [beginning, ...versions.slice(at, at + BATCH)]);
	}
	await redis.sadd(keys.countedProjects, project);
}
