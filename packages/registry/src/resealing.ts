import { BerthError, DEFAULT_PROJECT, sealedAs } from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, LuaScript, openRedis, type Redis } from "@berth/redis";
import { keys } from "./keys.js";
import type { Vault } from "./vault.js";

/** What was sealed with an earlier key: how many records are sealed anew, and which can't be opened with any. */
export interface Resealed {
	readonly records: number;
	readonly lost: readonly string[];
}

const SEALED = /"sealed":"(v1\.[0-9a-f]{8}\.[\w-]+)"/g;

/** KEYS hash. ARGV field, what was read, what it becomes. Somebody may have set another one meanwhile, with the key of now. */
const REPLACE_FIELD = new LuaScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`);
/** KEYS text. ARGV what was read, what it becomes. */
const REPLACE_TEXT = new LuaScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1`);

/**
 * Seals with the key of now what the durable Redis has that is sealed with an earlier one: secrets, logins at package registries, hooks' secrets,
 * and what callbacks are signed with. Each record by itself, so that what is cut short is gone on with by the next one.
 */
export async function resealAll(url: string, vault: Vault, log?: ConnectionLog): Promise<Resealed> {
	const [redis] = await openRedis([{ url, use: "command", name: "resealing", log }]);
	try {
		return await guarded(redis, "sealing secrets anew", () => new Resealing(redis, vault).run());
	} finally {
		await closeRedis(redis);
	}
}

class Resealing {
	readonly #redis: Redis;
	readonly #vault: Vault;
	readonly #lost: string[] = [];
	#records = 0;

	constructor(redis: Redis, vault: Vault) {
		this.#redis = redis;
		this.#vault = vault;
	}

	async run(): Promise<Resealed> {
		for (const project of [DEFAULT_PROJECT, ...(await this.#redis.hkeys(keys.projects))]) await this.#project(project);
		// For `berth doctor`, which reads it as it is.
		if (this.#records > 0) await this.#redis.hset(keys.resealed, { at: new Date().toISOString(), records: this.#records });
		return { records: this.#records, lost: this.#lost.sort() };
	}

	async #project(project: string): Promise<void> {
		await this.#fields(keys.secrets(project), (name) => sealedAs.secret(project, name));
		await this.#fields(keys.packageRegistries(project), (host) => sealedAs.packageRegistry(project, host));
		const callbacks = await this.#redis.get(keys.callbackSecret(project));
		if (callbacks !== null) await this.#one(callbacks, sealedAs.callbacks(project), REPLACE_TEXT, [keys.callbackSecret(project)]);
		for (const name of await this.#redis.smembers(keys.names(project)))
			for (const id of await this.#redis.hvals(keys.hooks(project, name))) {
				const secrets = await this.#redis.hget(keys.hook(id), "secrets");
				if (secrets !== null) await this.#one(secrets, sealedAs.hook(project, id), REPLACE_FIELD, [keys.hook(id)], "secrets");
			}
	}

	async #fields(key: string, nameOf: (field: string) => string): Promise<void> {
		for (const [field, text] of Object.entries(await this.#redis.hgetall(key)))
			await this.#one(text, nameOf(field), REPLACE_FIELD, [key], field);
	}

	async #one(text: string, of: string, script: LuaScript, key: readonly [string], ...field: readonly string[]): Promise<void> {
		try {
			const next = text.replace(SEALED, (whole, sealed: string) => {
				const anew = this.#vault.resealed(sealed, of);
				return anew === undefined ? whole : `"sealed":"${anew}"`;
			});
			if (next !== text && (await script.run(this.#redis, [...key], [...field, text, next])) === 1) this.#records++;
		} catch (error) {
			if (!(error instanceof BerthError) || error.code !== "platform_error") throw error;
			this.#lost.push(of);
		}
	}
}
