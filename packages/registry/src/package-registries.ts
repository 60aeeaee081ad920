import { type PackageRegistryEntry, type PackageRegistrySettings, sealedAs } from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, LuaScript, openRedis, type Redis } from "@berth/redis";
import { projectNotFound } from "./absent.js";
import { keys } from "./keys.js";
import type { Vault } from "./vault.js";

/** KEYS package registries, removed projects. ARGV host, record (JSON), project. Gives 0 when the project was removed. */
const SET_REGISTRY = new LuaScript(`
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 1 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`);

/** An entry as it is stored: what it is logged in with is sealed. */
interface Stored extends Omit<PackageRegistryEntry, "host"> {
	/** The `Authorization` header. */
	readonly sealed?: string;
}

/** A registry with what it is to be told. */
export interface PackageRegistryAccess extends Pick<PackageRegistryEntry, "host" | "scopes"> {
	/** Opens the login; only what asks this registry needs it. @throws BerthError platform_error when it can't be opened */
	readonly authorization?: () => string;
}

/** Package registries of projects, and the logins there, in the durable Redis. All methods throw BerthError `unavailable` while it is away. */
export class PackageRegistries {
	readonly #redis: Redis;
	readonly #vault: Vault;

	private constructor(redis: Redis, vault: Vault) {
		this.#redis = redis;
		this.#vault = vault;
	}

	/** @param url of the durable Redis. @throws Error when it can't be reached */
	static async open(url: string, vault: Vault, log?: ConnectionLog): Promise<PackageRegistries> {
		const [redis] = await openRedis([{ url, use: "command", name: "package-registries", log }]);
		return new PackageRegistries(redis, vault);
	}

	/** Puts it in the place of what there was of this host. @throws BerthError project_not_found when that was removed */
	async set(project: string, host: string, input: PackageRegistrySettings): Promise<PackageRegistryEntry> {
		const { scopes, token, username, password } = input;
		const basic = username === undefined ? undefined : `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
		const authorization = token === undefined ? basic : `Bearer ${token}`;
		const entry = {
			scopes: [...new Set(scopes)].sort(),
			login: token !== undefined ? "token" : basic !== undefined ? "password" : "none",
			...(username === undefined ? {} : { username }),
			updatedAt: new Date().toISOString(),
		} as const;
		const sealed = authorization === undefined ? {} : { sealed: this.#vault.seal(authorization, sealedAs.packageRegistry(project, host)) };
		const args = [host, JSON.stringify({ ...entry, ...sealed }), project];
		const isSet = await this.#do("storing a package registry", () =>
			SET_REGISTRY.run(this.#redis, [keys.packageRegistries(project), keys.removedProjects], args),
		);
		if (isSet === 0) throw projectNotFound(project);
		return { host, ...entry };
	}

	/** By host, without what they are logged in with. */
	async list(project: string): Promise<readonly PackageRegistryEntry[]> {
		return (await this.#all(project)).map(([host, { sealed: _, ...entry }]) => ({ host, ...entry }));
	}

	/** @returns whether there was one */
	async remove(project: string, host: string): Promise<boolean> {
		return (await this.#do("removing a package registry", () => this.#redis.hdel(keys.packageRegistries(project), host))) === 1;
	}

	/** What an installation needs of them. */
	async accesses(project: string): Promise<readonly PackageRegistryAccess[]> {
		return (await this.#all(project)).map(([host, { scopes, sealed }]) => ({
			host,
			scopes,
			...(sealed === undefined ? {} : { authorization: () => this.#vault.open(sealed, sealedAs.packageRegistry(project, host)) }),
		}));
	}

	async close(): Promise<void> {
		await closeRedis(this.#redis);
	}

	async #all(project: string): Promise<readonly (readonly [string, Stored])[]> {
		const found = await this.#do("reading package registries", () => this.#redis.hgetall(keys.packageRegistries(project)));
		return Object.entries(found)
			.sort(([a], [b]) => (a < b ? -1 : 1))
			.map(([host, json]) => [host, JSON.parse(json) as Stored]);
	}

	#do<T>(what: string, commands: () => Promise<T>): Promise<T> {
		return guarded(this.#redis, what, commands);
	}
}
