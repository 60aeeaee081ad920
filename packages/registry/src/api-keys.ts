import { createHash, randomBytes } from "node:crypto";
import {
	type ApiKey,
	type ApiKeyInput,
	BerthError,
	DEFAULT_PROJECT,
	MOST_KEYS,
	type NewApiKey,
	newId,
	SCOPES,
	type Scope,
} from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, openRedis, type Redis, Subscription } from "@berth/redis";
import { projectNotFound } from "./absent.js";
import { ADMIN_KEY, FIRST_KEY, MAKE_KEY, PROJECT_KEYS, REVOKE_KEY } from "./api-key-scripts.js";
import { keys } from "./keys.js";
import { Projects } from "./projects.js";

/** How long a key that was found good is believed without asking again, milliseconds: should the news of its end be lost. */
const BELIEVED_FOR_MS = 5000;
const BELIEVED_MOST = 10_000;
const TOKEN = /^berth_[0-9A-Za-z_-]{43}$/;

/** Whose a key is, and what it may do. */
export interface KeyHolder {
	readonly id: string;
	readonly name: string;
	/** The one project that it is a key of; undefined: it is the operator's, good for all of them. */
	readonly project: string | undefined;
	readonly scopes: readonly Scope[];
	readonly expiresAt?: string;
	/** Requests that it may make in a second; undefined: as many as its project. */
	readonly ratePerSecond?: number;
}

/**
 * API keys: 256 random bits, of which only the SHA-256 is stored. A key is looked up by that, so how long it takes says
 * nothing about what other keys begin with.
 */
export class ApiKeys {
	/** Whose they are. */
	readonly projects: Projects;
	readonly #redis: Redis;
	readonly #owned: readonly Redis[];
	readonly #listeners = new Set<() => void>();
	readonly #believed = new Map<string, { readonly holder: KeyHolder; readonly untilMs: number }>();

	private constructor(owned: readonly [Redis, Redis]) {
		this.#redis = owned[0];
		this.projects = new Projects(owned[0]);
		this.#owned = owned;
	}

	/** @param url of the durable Redis. @throws Error when it can't be reached */
	static async open(url: string, log?: ConnectionLog): Promise<ApiKeys> {
		const owned = await openRedis([
			{ url, use: "command", name: "api-keys", log },
			{ url, use: "subscriber", name: "revocations", log },
		]);
		const apiKeys = new ApiKeys(owned);
		const disbelieve = () => apiKeys.#disbelieve();
		await new Subscription(owned[1], [keys.revocations], { onMessage: disbelieve, onResumed: disbelieve }, log).listening;
		return apiKeys;
	}

	/** Makes the operator's key when there is none at all. @returns it, this once; undefined when there were keys already. @throws BerthError unavailable */
	async ensureFirst(): Promise<string | undefined> {
		const token = newToken();
		const made = await guarded(this.#redis, "storing an API key", () =>
			FIRST_KEY.run(this.#redis, [keys.apiKeys], [digestOf(token), operatorEntry("first")]),
		);
		return made === 1 ? token : undefined;
	}

	/**
	 * Lets in whoever holds the operator's key, and no longer the holder of the one before: so a key that
	 * was lost is replaced. @param digest its SHA-256, hex. @throws BerthError unavailable
	 */
	async ensureAdmin(digest: string): Promise<void> {
		await guarded(this.#redis, "storing an API key", () =>
			ADMIN_KEY.run(this.#redis, [keys.apiKeys, keys.adminKey], [digest, operatorEntry("admin"), keys.revocations]),
		);
	}

	/** Makes a key of a project. @returns it, this once. @throws BerthError key_exists, project_not_found; invalid_request when the project has as many as it may; unavailable */
	async create(project: string, { name, scopes, expiresInMs, ratePerSecond }: ApiKeyInput): Promise<NewApiKey> {
		const token = newToken();
		const nowMs = Date.now();
		const entry: ApiKey = {
			id: newId("key", nowMs),
			name,
			project,
			scopes: SCOPES.filter((scope) => scopes.includes(scope)),
			createdAt: new Date(nowMs).toISOString(),
			...(expiresInMs === undefined ? {} : { expiresAt: new Date(nowMs + expiresInMs).toISOString() }),
			...(ratePerSecond === undefined ? {} : { ratePerSecond }),
		};
		const made = await guarded(this.#redis, `making the API key ${name}`, () =>
			MAKE_KEY.run(
				this.#redis,
				[...namesOf(project), keys.projects],
				[name, digestOf(token), JSON.stringify(entry), MOST_KEYS, project === DEFAULT_PROJECT ? "" : project],
			),
		);
		if (made === "gone") throw projectNotFound(project);
		if (made === "exists")
			throw new BerthError("key_exists", `there is an API key ${name} in this project: revoke it first, or give this one another name`);
		if (made === "full")
			throw new BerthError("invalid_request", `this project has ${MOST_KEYS} API keys, and no more are possible; revoke one`);
		return { ...entry, key: token };
	}

	/** Keys of a project, by name; those that have expired as well. @throws BerthError unavailable */
	async list(project: string): Promise<readonly ApiKey[]> {
		const entries = await guarded(this.#redis, "listing API keys", () => PROJECT_KEYS.run(this.#redis, namesOf(project), []));
		return (entries as (string | null)[])
			.flatMap((entry) => (entry === null ? [] : [JSON.parse(entry) as ApiKey]))
			.sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** From now on it lets nobody in: here at once, at other gateways with the news. @throws BerthError key_not_found, unavailable */
	async revoke(project: string, name: string): Promise<void> {
		const revoked = await guarded(this.#redis, `revoking the API key ${name}`, () =>
			REVOKE_KEY.run(this.#redis, namesOf(project), [name, keys.revocations]),
		);
		this.#disbelieve();
		if (revoked === 0) throw new BerthError("key_not_found", `there is no API key ${JSON.stringify(name)} in this project`);
	}

	/** Whose key it is; undefined when it is nobody's. @throws BerthError unavailable; unauthorized when it has expired */
	async verify(token: string): Promise<KeyHolder | undefined> {
		const known = this.#believed.get(token);
		const holder = known !== undefined && known.untilMs > performance.now() ? known.holder : await this.#find(token);
		if (holder?.expiresAt !== undefined && Date.parse(holder.expiresAt) <= Date.now())
			throw new BerthError("unauthorized", `this API key, ${holder.name}, expired at ${holder.expiresAt}`);
		return holder;
	}

	/** @param listener told when keys may have become none, or projects: by revocation, by removal, or unheard of while Redis was away. @returns ends that */
	onRevocations(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	async close(): Promise<void> {
		await Promise.all(this.#owned.map(closeRedis));
	}

	async #find(token: string): Promise<KeyHolder | undefined> {
		if (!TOKEN.test(token)) return undefined;
		const since = this.#news;
		const entry = await guarded(this.#redis, "checking the API key", () => this.#redis.hget(keys.apiKeys, digestOf(token)));
		if (entry === null) return undefined;
		const holder = holderOf(JSON.parse(entry) as Partial<ApiKey>);
		if (this.#believed.size >= BELIEVED_MOST) this.#believed.clear();
		// What was read before a revocation and comes after the news of it isn't remembered.
		if (since === this.#news) this.#believed.set(token, { holder, untilMs: performance.now() + BELIEVED_FOR_MS });
		return holder;
	}

	/** How often there was news of revocations. */
	#news = 0;

	#disbelieve(): void {
		this.#news++;
		this.#believed.clear();
		this.projects.disbelieve();
		for (const listener of this.#listeners) listener();
	}
}

/** An entry without scopes is the operator's. */
function holderOf({ id, name = "", project, scopes, expiresAt, ratePerSecond }: Partial<ApiKey>): KeyHolder {
	if (scopes === undefined || project === undefined) return { id: `operator:${name}`, name, project: undefined, scopes: ["admin"] };
	return {
		...{ id: id ?? name, name, project, scopes },
		...(expiresAt === undefined ? {} : { expiresAt }),
		...(ratePerSecond === undefined ? {} : { ratePerSecond }),
	};
}

function operatorEntry(name: string): string {
	return JSON.stringify({ name, createdAt: new Date().toISOString() });
}

function namesOf(project: string): readonly string[] {
	return [keys.apiKeys, keys.projectKeys(project)];
}

function newToken(): string {
	return `berth_${randomBytes(32).toString("base64url")}`;
}

function digestOf(token: string): string {
	return createHash("sha256").update(token).digest("hex");
}
