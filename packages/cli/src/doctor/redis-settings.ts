import type { Settings } from "@berth/config";
import { KIB, MIB } from "@berth/contracts";
import { codeOf, messageOf } from "../system-errors.js";
import { type Check, failed, ok, warning } from "./check.js";
import { mendOfRedis } from "./mends.js";
import { redisVersion } from "./programs.js";
import { askRedis, RedisError, type Reply, withoutPassword } from "./redis-connection.js";
import { checkWrites, type RedisRole } from "./redis-writes.js";

/** What is on record of the artifact store, as the registry writes it. */
const STORE = "{berth}:store";
/** How many invocations were accepted in the background, settled and given up, as the queue counts them. */
const TOTALS = "berth:totals:background";
/** Old records of settled invocations go so that no more is taken than MEMORY_PARTS.history of the queue, 75 %: while they do it is a little less. */
const MUCH = 0.74;
/** Nothing new is queued from there on: MEMORY_PARTS.work. */
const FULL = 0.85;
const SETTINGS = ["maxmemory-policy", "maxmemory", "appendonly", "appendfsync"] as const;
export type RedisSettings = Readonly<Partial<Record<(typeof SETTINGS)[number], string>>>;

/** Looks at each server that runs or is the user's: its version, and what its settings can lose. */
export async function checkRedisServers(settings: Settings, stackIsUp: boolean): Promise<readonly Check[]> {
	const { embedded } = settings;
	const durable = stackIsUp || !embedded.durable ? await checkServer("durable", settings) : [];
	// One server may be both: it has to keep what the durable one has to.
	const apart = settings.fastRedisUrl !== settings.durableRedisUrl;
	const fast = apart && (stackIsUp || !embedded.fast) ? await checkServer("fast", settings) : [];
	return [...durable, ...fast];
}

async function checkServer(role: RedisRole, settings: Settings): Promise<readonly Check[]> {
	const name = `${role} Redis`;
	const url = role === "durable" ? settings.durableRedisUrl : settings.fastRedisUrl;
	try {
		const [info, ...values] = await askRedis(url, [["INFO", "server"], ...SETTINGS.map((setting) => ["CONFIG", "GET", setting])]);
		if (info instanceof RedisError)
			return [failed(name, `It refuses INFO: ${info.message}.`, "Let its user run INFO, CONFIG GET and everything on keys.")];
		const version = redisVersion(name, /redis_version:(\S+)/.exec(String(info))?.[1], withoutPassword(url));
		const records = role === "durable" ? await durableChecks(url) : [];
		return [version, ...(await checkWrites(role, url)), ...settingChecks(role, settingsIn(values)), ...records];
	} catch (error) {
		return [
			failed(name, `${withoutPassword(url)} can't be used: ${messageOf(error).replace(/\.$/, "")}.`, await mendOf(role, settings, error)),
		];
	}
}

async function durableChecks(url: string): Promise<readonly Check[]> {
	const [store, memory, totals] = await askRedis(url, [
		["GET", STORE],
		["INFO", "memory"],
		["HMGET", TOTALS, "accepted", "settled", "dead"],
	]);
	const [accepted = 0, settled = 0, dead = 0] = Array.isArray(totals) ? totals.map(Number) : [];
	return [...recordChecks(store), ...roomChecks(String(memory), Math.max(0, accepted - settled - dead))];
}

/**
 * How much of its maxmemory is taken, of which some is kept for doing what was accepted: as the queue counts it.
 * @param info what INFO says of it @param unsettled background invocations, of which each has RESERVE_BYTES of the queue in reserve
 */
export function roomChecks(info: string, unsettled: number): readonly Check[] {
	const fields = ["used_memory", "mem_not_counted_for_evict", "maxmemory"];
	const [used = 0, apart = 0, max = 0] = fields.map((field) => Number(new RegExp(`^${field}:(\\d+)`, "m").exec(info)?.[1] ?? 0));
	const taken = used - apart + unsettled * KIB;
	const part = max === 0 ? 0 : taken / max;
	if (part <= MUCH) return [];
	const refused =
		part > FULL ? "new background work is refused (storage_full)" : "from 85 % on new background work is refused (storage_full)";
	const found = `${Math.round(taken / MIB)} MiB of its ${Math.round(max / MIB)} are taken, with what ${unsettled} unsettled invocations may come to need: above 75 % the oldest records of settled invocations go before their time (404 invocation_not_found), and ${refused}.`;
	const mend =
		"`berth_durable_memory_bytes` in /metrics says of what. Raise its maxmemory, lower BERTH_MAX_QUEUED or BERTH_RECORDS_MIB, or let what is queued be done.";
	return [warning("durable Redis: room", found, mend)];
}

async function mendOf(role: RedisRole, settings: Settings, error: unknown): Promise<string> {
	if (!settings.embedded[role]) return `Start it, or correct BERTH_${role.toUpperCase()}_REDIS_URL.`;
	return codeOf(error) === "EACCES"
		? "Its socket is root's and the service user's: sudo npx berth doctor"
		: await mendOfRedis(role, settings);
}

/** Whether a worker has found images of functions that aren't on record. */
export function recordChecks(store: Reply | undefined): readonly Check[] {
	if (store !== "lost") return [];
	const found = "It has lost its functions; their images are still in the artifact store. Nothing can be deployed meanwhile.";
	return [warning("durable Redis: records", found, "`berth recover` brings them back.")];
}

/** CONFIG GET answers with name and value; a server of a hosting service often refuses it. */
function settingsIn(replies: readonly Reply[]): RedisSettings {
	const pairs = replies.filter((reply): reply is readonly Reply[] => Array.isArray(reply) && reply.length >= 2);
	return Object.fromEntries(pairs.map(([key, value]) => [String(key), String(value)]));
}

/** What a server's settings mean for its role. */
export function settingChecks(role: RedisRole, settings: RedisSettings): readonly Check[] {
	const name = `${role} Redis: `;
	const policy = settings["maxmemory-policy"];
	if (policy === undefined) {
		return [
			warning(
				`${name}settings`,
				"They can't be read.",
				"See for yourself: maxmemory-policy noeviction; for the durable one appendonly yes, appendfsync always.",
			),
		];
	}
	return [
		eviction(name, policy, Number(settings.maxmemory ?? 0)),
		role === "durable" ? durability(name, settings) : restarts(name, settings),
	];
}

function eviction(name: string, policy: string, maxMemory: number): Check {
	if (policy === "noeviction") {
		if (maxMemory > 0) return ok(`${name}memory`, "It refuses writes when it is full, and evicts nothing.");
		return warning(
			`${name}memory`,
			"It has no maxmemory: it grows until the kernel kills it.",
			"CONFIG SET maxmemory to what the machine can spare.",
		);
	}
	const found = `maxmemory-policy is ${policy}: when it is full it throws away queued invocations and deployed functions.`;
	return failed(`${name}memory`, found, "CONFIG SET maxmemory-policy noeviction, and write it into redis.conf.");
}

/** What was acknowledged with 202 has to be on disk. */
function durability(name: string, { appendonly, appendfsync }: RedisSettings): Check {
	const mend = "CONFIG SET appendonly yes, CONFIG SET appendfsync always, and write both into redis.conf.";
	if (appendonly !== "yes") {
		return failed(
			`${name}durability`,
			"appendonly is off: a crash loses every deploy and background invocation since its last snapshot.",
			mend,
		);
	}
	if (appendfsync === "always") return ok(`${name}durability`, "appendfsync always: what is acknowledged is on disk.");
	const lost = appendfsync === "no" ? "as much as the kernel hadn't written, often 30 s" : "up to 2 s";
	return warning(
		`${name}durability`,
		`appendfsync is ${appendfsync}: a crash can lose ${lost} of acknowledged deploys and background invocations.`,
		mend,
	);
}

/** Losing it loses only what is in flight and waited for. */
function restarts(name: string, { appendonly, appendfsync }: RedisSettings): Check {
	if (appendonly === "yes" && appendfsync === "always") {
		return warning(
			`${name}durability`,
			"appendfsync always: it costs every invocation a write to disk.",
			"CONFIG SET appendfsync everysec, unless it is the durable one, too.",
		);
	}
	return ok(`${name}durability`, "A crash of it loses only what is in flight and records of the last moments.");
}
