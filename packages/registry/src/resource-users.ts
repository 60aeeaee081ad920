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

/** What USERS gives as a flat list, name, function, name, …: the functions of each name. */
export function usersByName(flat: readonly string[]): (name: string) => readonly string[] {
	const pairs = Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at] as string, flat[2 * at + 1] as string] as const);
	const users = Map.groupBy(pairs, ([name]) => name);
	return (name) => [...new Set(users.get(name)?.map(([, user]) => user))].sort();
}
