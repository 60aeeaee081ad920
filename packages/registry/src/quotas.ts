import {
	BerthError,
	DEFAULT_PROJECT,
	MIB,
	type OwnQuotas,
	QUOTAS,
	type QuotaChanges,
	type QuotaName,
	type Quotas,
	quotasOf,
} from "@berth/contracts";
import { type ConnectionLog, guarded, LuaScript, type Redis, Subscription } from "@berth/redis";
import { projectNotFound } from "./absent.js";
import { keys } from "./keys.js";

/** KEYS quotas, projects. ARGV project (of the first one nothing), its name, channel, then name, value in JSON or nothing … Gives 0 when there is no such project. */
const CHANGE = new LuaScript(`
if ARGV[1] ~= '' and redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return 0 end
local own = cjson.decode(redis.call('HGET', KEYS[1], ARGV[2]) or '{}')
for at = 4, #ARGV, 2 do
  if ARGV[at + 1] == '' then own[ARGV[at]] = nil else own[ARGV[at]] = cjson.decode(ARGV[at + 1]) end
end
if next(own) then redis.call('HSET', KEYS[1], ARGV[2], cjson.encode(own)) else redis.call('HDEL', KEYS[1], ARGV[2]) end
redis.call('PUBLISH', ARGV[3], ARGV[2])
return 1`);

/**
 * What the operator bounds projects by, in the durable Redis, and in memory: whoever asks before each request asks no server. A change is
 * there with its news, at every process that listens; while Redis is away what was known last goes on to hold.
 */
export class ProjectQuotas {
	readonly #redis: Redis;
	/** What bounds projects for which nothing else was set. */
	readonly defaults: Quotas;
	readonly #log: ConnectionLog | undefined;
	#known: ReadonlyMap<string, Quotas> = new Map();

	private constructor(redis: Redis, defaults: Quotas, log: ConnectionLog | undefined) {
		this.#redis = redis;
		this.defaults = defaults;
		this.#log = log;
	}

	/** @param subscriber for the news; neither connection is owned */
	static async open(redis: Redis, subscriber: Redis, defaults: Quotas, log?: ConnectionLog): Promise<ProjectQuotas> {
		const quotas = new ProjectQuotas(redis, defaults, log);
		const reread = () =>
			quotas.#read().catch((error: unknown) => quotas.#log?.warn({ error }, "quotas couldn't be read; those known before hold"));
		await new Subscription(subscriber, [keys.quotaChanges], { onMessage: reread, onResumed: reread }, log).listening;
		await quotas.#read();
		return quotas;
	}

	/** What bounds a project, as far as is known here. */
	of(project: string): Quotas {
		return this.#known.get(project) ?? this.defaults;
	}

	/** What was set for a project. @throws BerthError unavailable */
	async own(project: string): Promise<OwnQuotas> {
		const text = await guarded(this.#redis, `reading the quotas of ${project}`, () => this.#redis.hget(keys.quotas, project));
		return text === null ? {} : (JSON.parse(text) as OwnQuotas);
	}

	/** Changes what is named; null is the default again. @throws BerthError project_not_found, unavailable */
	async change(project: string, changes: QuotaChanges): Promise<void> {
		const pairs = Object.entries(changes).flatMap(([name, value]) =>
			value === undefined ? [] : [name, value === null ? "" : JSON.stringify(value)],
		);
		const made = await guarded(this.#redis, `changing the quotas of ${project}`, () =>
			CHANGE.run(
				this.#redis,
				[keys.quotas, keys.projects],
				[project === DEFAULT_PROJECT ? "" : project, project, keys.quotaChanges, ...pairs],
			),
		);
		if (made === 0) throw projectNotFound(project);
		await this.#read();
	}

	/** Functions that a project has. @throws BerthError unavailable */
	functionsOf(project: string): Promise<number> {
		return guarded(this.#redis, `counting functions of ${project}`, () => this.#redis.scard(keys.names(project)));
	}

	/** What the layers of a project's versions take, MiB. @throws BerthError unavailable */
	async imageMiBOf(project: string): Promise<number> {
		const bytes = await guarded(this.#redis, `measuring images of ${project}`, () => this.#redis.hget(keys.heldLayers(project), "bytes"));
		return Math.ceil(Number(bytes ?? 0) / MIB);
	}

	/** What the sandboxes of a project may have that its functions have ready, MiB. @throws BerthError unavailable */
	async warmMiBOf(project: string): Promise<number> {
		const each = await guarded(this.#redis, `adding up what ${project} has ready`, () => this.#redis.hvals(keys.warm(project)));
		return each.reduce((sum, mebibytes) => sum + Number(mebibytes), 0);
	}

	/** Before an image is fetched. @throws BerthError quota_exceeded when a project's images have all room that they may, unavailable */
	async requireImageRoom(project: string): Promise<void> {
		const limit = this.of(project).imageMiB;
		if (limit === undefined) return;
		const used = await this.imageMiBOf(project);
		if (used >= limit) throw quotaExceeded("imageMiB", project, limit, used);
	}

	async #read(): Promise<void> {
		const found = await guarded(this.#redis, "reading quotas", () => this.#redis.hgetall(keys.quotas));
		this.#known = new Map(Object.entries(found).map(([name, text]) => [name, quotasOf(JSON.parse(text) as OwnQuotas, this.defaults)]));
	}
}

/** A project has, or would have, more of something than it may. */
export function quotaExceeded(quota: QuotaName, project: string, limit: number, used: number): BerthError {
	const { of } = QUOTAS[quota];
	const has = quota === "functions" || used <= limit ? `has ${used}` : `would have ${used} with this`;
	const message = `project ${project} may have ${limit} ${of} and ${has}; ${used === 0 ? "" : "remove some, or "}ask the operator for more`;
	return new BerthError("quota_exceeded", `${quota}: ${message}`, { issues: [{ field: quota, message }], extra: { quota, limit, used } });
}

/** Lua: what bounds the project ARGV says by this quota, or nil. KEYS quotas and its default's text are named by expressions of the script's. */
export function quotaIn(quotas: string, project: string, name: QuotaName, fallback: string, as = "quotaOf"): string {
	return `
local function ${as}()
  local own = cjson.decode(redis.call('HGET', ${quotas}, ${project}) or '{}')['${name}']
  if own == 'unlimited' then return nil end
  return own or tonumber(${fallback})
end
`;
}
