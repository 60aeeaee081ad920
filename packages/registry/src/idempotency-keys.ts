import { createHash, randomBytes } from "node:crypto";
import { SECOND_MS } from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, LuaScript, openRedis, type Redis } from "@berth/redis";
import { keys } from "./keys.js";
import type { Vault } from "./vault.js";

/** How long a request holds its key without saying that it is still there, milliseconds: a gateway that died blocks it no longer. */
const LEASE_MS = 30 * SECOND_MS;

const NOW = `
	local time = redis.call("TIME")
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

const CLAIM = new LuaScript(`${NOW}
	local found = redis.call("HMGET", KEYS[1], "request", "answer", "until", "invocation")
	if found[1] and found[1] ~= ARGV[1] then return { "mismatch" } end
	if found[2] then return { "answered", found[2] } end
	if found[1] and tonumber(found[3]) > now then return { "running" } end
	-- Whoever held it before left no answer: what was done is in doubt from here on.
	if found[1] then redis.call("HSET", KEYS[1], "doubt", 1) end
	local invocation = found[4] or ARGV[5]
	redis.call("HSET", KEYS[1], "request", ARGV[1], "until", now + ARGV[3], "holder", ARGV[2], "invocation", invocation)
	redis.call("PEXPIRE", KEYS[1], ARGV[4])
	return { "claimed", invocation }
`);

const RENEW = new LuaScript(`${NOW}
	if redis.call("HGET", KEYS[1], "holder") ~= ARGV[1] then return 0 end
	return redis.call("HSET", KEYS[1], "until", now + ARGV[2])
`);

const LET_GO = new LuaScript(`
	if redis.call("HGET", KEYS[1], "holder") ~= ARGV[1] then return 0 end
	redis.call("HDEL", KEYS[1], "holder")
	return redis.call("HSET", KEYS[1], "until", 0)
`);

const END = new LuaScript(`
	if redis.call("HGET", KEYS[1], "holder") ~= ARGV[1] then return 0 end
	redis.call("HDEL", KEYS[1], "holder")
	if ARGV[2] ~= "" then return redis.call("HSET", KEYS[1], "answer", ARGV[2]) end
	if redis.call("HEXISTS", KEYS[1], "doubt") == 0 then return redis.call("DEL", KEYS[1]) end
	return redis.call("HSET", KEYS[1], "until", 0)
`);

/** Whose a key is now. */
export type KeyClaim =
	/** This request's; what it accepts in the background is that invocation, whoever tried before. */
	| { readonly kind: "claimed"; readonly held: HeldKey; readonly invocation: string }
	/** Another request's, that is the same and isn't answered yet. */
	| { readonly kind: "running" }
	/** Another request's, that wasn't the same. */
	| { readonly kind: "mismatch" }
	/** An earlier one's, that was the same. */
	| { readonly kind: "answered"; readonly id: string; readonly answer: string };

/** A key that a request holds. */
export interface HeldKey {
	readonly id: string;
	readonly holder: string;
}

/** Idempotency keys of projects and the answers that they stand for, in the durable Redis. All methods throw BerthError `unavailable` while it is away. */
export class IdempotencyKeys {
	readonly #redis: Redis;
	readonly #vault: Vault;
	readonly #keptMs: number;

	private constructor(redis: Redis, vault: Vault, keptMs: number) {
		this.#redis = redis;
		this.#vault = vault;
		this.#keptMs = keptMs;
	}

	/** @param url of the durable Redis. @param keptMs how long a key is remembered. @throws Error when it can't be reached */
	static async open(url: string, vault: Vault, keptMs: number, log?: ConnectionLog): Promise<IdempotencyKeys> {
		const [redis] = await openRedis([{ url, use: "command", name: "idempotency-keys", log }]);
		return new IdempotencyKeys(redis, vault, keptMs);
	}

	/** How often whoever holds a key has to say so, milliseconds. */
	static readonly renewMs = LEASE_MS / 3;

	/** @param request what tells it from others. @param invocation the id that it has, should it be the first with this key */
	async claim(project: string, key: string, request: string, invocation: string): Promise<KeyClaim> {
		const id = keys.idempotencyKey(project, createHash("sha256").update(key).digest("hex"));
		const holder = randomBytes(12).toString("base64url");
		const args = [request, holder, LEASE_MS, this.#keptMs, invocation];
		const [kind, word = ""] = (await this.#do(() => CLAIM.run(this.#redis, [id], args))) as [KeyClaim["kind"], string?];
		if (kind === "claimed") return { kind, held: { id, holder }, invocation: word };
		return kind === "answered" ? { kind, id, answer: word } : { kind };
	}

	/** The request is still being served. */
	async renew({ id, holder }: HeldKey): Promise<void> {
		await this.#do(() => RENEW.run(this.#redis, [id], [holder, LEASE_MS]));
	}

	/** The request is answered; every repetition of it is, too, from now on. */
	async answer({ id, holder }: HeldKey, answer: string): Promise<void> {
		await this.#do(() => END.run(this.#redis, [id], [holder, answer]));
	}

	/** What was done is in doubt: the same request may come again at once, and has the same id then. */
	async letGo({ id, holder }: HeldKey): Promise<void> {
		await this.#do(() => LET_GO.run(this.#redis, [id], [holder]));
	}

	/** Nothing was done: the key is as good as new, unless an earlier try left it in doubt: then it goes on as with `letGo`. */
	async release({ id, holder }: HeldKey): Promise<void> {
		await this.#do(() => END.run(this.#redis, [id], [holder, ""]));
	}

	/** An answer as it may be stored: one that makes a secret has it in it. */
	seal({ id }: HeldKey, answer: string): string {
		return this.#vault.seal(answer, id);
	}

	/** Undefined when it was sealed with a key that is here no more. */
	opened(id: string, sealed: string): string | undefined {
		return this.#vault.canOpen(sealed, id) ? this.#vault.open(sealed, id) : undefined;
	}

	async close(): Promise<void> {
		await closeRedis(this.#redis);
	}

	#do<T>(commands: () => Promise<T>): Promise<T> {
		return guarded(this.#redis, "looking for an idempotency key", commands);
	}
}
