import { createHash, randomBytes } from "node:crypto";
import { DEFAULT_PROJECT } from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, openRedis, type Redis } from "@berth/redis";
import { ADMIN_KEY, FIRST_KEY } from "./api-key-scripts.js";
import { keys } from "./keys.js";

/** How long a key that was found good is believed without asking again, milliseconds. */
const BELIEVED_FOR_MS = 5000;
const BELIEVED_MOST = 10_000;
const TOKEN = /^berth_[0-9A-Za-z_-]{43}$/;

/** What a key may do: everything in its project, for now. */
export interface Principal {
	readonly project: string;
}

/** API keys: 256 random bits, of which only the SHA-256 is stored. */
export class ApiKeys {
	readonly #redis: Redis;
	readonly #believed = new Map<string, { readonly principal: Principal; readonly untilMs: number }>();

	private constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** @param url of the durable Redis. @throws Error when it can't be reached */
	static async open(url: string, log?: ConnectionLog): Promise<ApiKeys> {
		const [redis] = await openRedis([{ url, use: "command", name: "api-keys", log }]);
		return new ApiKeys(redis);
	}

	/** Makes the first key when there is none. @returns it, this once; undefined when there were keys already. @throws BerthError unavailable */
	async ensureFirst(): Promise<string | undefined> {
		const token = `berth_${randomBytes(32).toString("base64url")}`;
		const made = await this.#put(FIRST_KEY, [keys.apiKeys], digestOf(token), "first");
		return made === 1 ? token : undefined;
	}

	/**
	 * Lets in whoever holds the operator's key, and no longer the holder of the one before: so a key that
	 * was lost is replaced. @param digest its SHA-256, hex. @throws BerthError unavailable
	 */
	async ensureAdmin(digest: string): Promise<void> {
		await this.#put(ADMIN_KEY, [keys.apiKeys, keys.adminKey], digest, "admin");
	}

	/** Whose key it is; undefined when it is nobody's. @throws BerthError unavailable */
	async verify(token: string): Promise<Principal | undefined> {
		const known = this.#believed.get(token);
		if (known !== undefined && known.untilMs > performance.now()) return known.principal;
		if (!TOKEN.test(token)) return undefined;
		const entry = await guarded(this.#redis, "checking the API key", () => this.#redis.hget(keys.apiKeys, digestOf(token)));
		if (entry === null) return undefined;
		const { project } = JSON.parse(entry) as { project: string };
		const principal = { project };
		if (this.#believed.size >= BELIEVED_MOST) this.#believed.clear();
		this.#believed.set(token, { principal, untilMs: performance.now() + BELIEVED_FOR_MS });
		return principal;
	}

	async close(): Promise<void> {
		await closeRedis(this.#redis);
	}

	#put(script: typeof FIRST_KEY, names: readonly string[], digest: string, name: string): Promise<unknown> {
		const entry = JSON.stringify({ project: DEFAULT_PROJECT, name, createdAt: new Date().toISOString() });
		return guarded(this.#redis, "storing an API key", () => script.run(this.#redis, names, [digest, entry]));
	}
}

function digestOf(token: string): string {
	return createHash("sha256").update(token).digest("hex");
}
