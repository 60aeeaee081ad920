import { createHash, randomBytes } from "node:crypto";
import { DEFAULT_PROJECT } from "@berth/contracts";
import { openRedis, orUnavailable, type Redis } from "@berth/redis";
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

	static async open(url: string): Promise<ApiKeys> {
		return new ApiKeys(await openRedis(url, "command"));
	}

	/** Makes the first key when there is none. @returns it, this once; undefined when there were keys already */
	async ensureFirst(): Promise<string | undefined> {
		const token = `berth_${randomBytes(32).toString("base64url")}`;
		const entry = JSON.stringify({ project: DEFAULT_PROJECT, name: "first", createdAt: new Date().toISOString() });
		// HSETNX on a marker decides between gateways that start at the same time.
		const first = await orUnavailable("making the first key", () => this.#redis.hsetnx(keys.apiKeys, "first", digest(token)));
		if (first === 0) return undefined;
		await orUnavailable("making the first key", () => this.#redis.hset(keys.apiKeys, digest(token), entry));
		return token;
	}

	/** Whose key it is; undefined when it is nobody's. @throws BerthError unavailable */
	async verify(token: string): Promise<Principal | undefined> {
		const known = this.#believed.get(token);
		if (known !== undefined && known.untilMs > performance.now()) return known.principal;
		if (!TOKEN.test(token)) return undefined;
		const entry = await orUnavailable("checking the API key", () => this.#redis.hget(keys.apiKeys, digest(token)));
		if (entry === null) return undefined;
		const { project } = JSON.parse(entry) as { project: string };
		const principal = { project };
		if (this.#believed.size >= BELIEVED_MOST) this.#believed.clear();
		this.#believed.set(token, { principal, untilMs: performance.now() + BELIEVED_FOR_MS });
		return principal;
	}

	async close(): Promise<void> {
		this.#redis.disconnect();
	}
}

function digest(token: string): string {
	return createHash("sha256").update(token).digest("hex");
}
