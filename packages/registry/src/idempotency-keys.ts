import { createHash, randomBytes } from "node:crypto";
import { BerthError, HOUR_MS, KIB, MIB, SECOND_MS } from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, LuaScript, openRedis, type Redis } from "@berth/redis";
import { keys } from "./keys.js";
import type { Vault } from "./vault.js";

/** How long a request holds its key without saying that it is still there, milliseconds: a gateway that died blocks it no longer. */
const LEASE_MS = 30 * SECOND_MS;

const NOW = `
	local time = redis.call("TIME")
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;
/** What a key takes of the durable Redis, beside its answer. */
const KEY_BYTES = KIB;
/** Keys are counted in so many parts of the time that they are kept for. */
const PARTS = 24;

/** What keys of a project take: bytes by when they came, in a hash that has a field for each part of the time. */
const COUNT = `
	local function count(kept, part, bytes)
		if redis.call("HINCRBY", kept, part, bytes) <= 0 then redis.call("HDEL", kept, part) end
	end
`;

/**
 * KEYS: key, what the project's take. ARGV: request, holder, lease ms, ms for which it is kept, invocation, bytes that the project's may take, 1 when there is memory
 * for another one. Gives for `many` ms until the first of them is forgotten.
 */
const CLAIM = new LuaScript(`${NOW}${COUNT}
	local found = redis.call("HMGET", KEYS[1], "request", "answer", "until", "invocation")
	if found[1] and found[1] ~= ARGV[1] then return { "mismatch" } end
	if found[2] then return { "answered", found[2] } end
	if found[1] and tonumber(found[3]) > now then return { "running" } end
	-- Whoever held it before left no answer: what was done is in doubt from here on.
	if found[1] then redis.call("HSET", KEYS[1], "doubt", 1) end
	if not found[1] then
		if ARGV[7] ~= "1" then return { "refused" } end
		local keptMs, sum, first = tonumber(ARGV[4]), 0, now
		local length = math.ceil(keptMs / ${PARTS})
		local parts = redis.call("HGETALL", KEYS[2])
		for at = 1, #parts, 2 do
			local part = tonumber(parts[at])
			if part + length + keptMs < now then
				redis.call("HDEL", KEYS[2], parts[at])
			else
				sum, first = sum + parts[at + 1], math.min(first, part)
			end
		end
		if sum + ${KEY_BYTES} > tonumber(ARGV[6]) then return { "many", tostring(first + length + keptMs - now) } end
		local part = string.format("%d", math.floor(now / length) * length)
		count(KEYS[2], part, ${KEY_BYTES})
		redis.call("PEXPIRE", KEYS[2], keptMs + length)
		redis.call("HSET", KEYS[1], "part", part)
	end
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

/** KEYS: as CLAIM. ARGV: holder, answer or "". */
const END = new LuaScript(`${COUNT}
	local found = redis.call("HMGET", KEYS[1], "holder", "part", "doubt")
	if found[1] ~= ARGV[1] then return 0 end
	redis.call("HDEL", KEYS[1], "holder")
	if ARGV[2] ~= "" then
		if found[2] then count(KEYS[2], found[2], #ARGV[2]) end
		return redis.call("HSET", KEYS[1], "answer", ARGV[2])
	end
	if not found[3] then
		if found[2] then count(KEYS[2], found[2], ${-KEY_BYTES}) end
		return redis.call("DEL", KEYS[1])
	end
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
	/** Nobody's: there is no memory for another one. */
	| { readonly kind: "refused" }
	/** An earlier one's, that was the same. */
	| { readonly kind: "answered"; readonly id: string; readonly answer: string };

/** A key that a request holds. */
export interface HeldKey {
	readonly id: string;
	readonly holder: string;
	/** Where it is counted. */
	readonly kept: string;
}

/** How long keys are remembered, and what those of a project may take of the durable Redis with their answers. */
export interface KeysKept {
	readonly ms: number;
	readonly bytes: number;
}

/** Idempotency keys of projects and the answers that they stand for, in the durable Redis. All methods throw BerthError `unavailable` while it is away. */
export class IdempotencyKeys {
	readonly #redis: Redis;
	readonly #vault: Vault;
	readonly #keeps: KeysKept;

	private constructor(redis: Redis, vault: Vault, keeps: KeysKept) {
		this.#redis = redis;
		this.#vault = vault;
		this.#keeps = keeps;
	}

	/** @param url of the durable Redis. @throws Error when it can't be reached */
	static async open(url: string, vault: Vault, keeps: KeysKept, log?: ConnectionLog): Promise<IdempotencyKeys> {
		const [redis] = await openRedis([{ url, use: "command", name: "idempotency-keys", log }]);
		return new IdempotencyKeys(redis, vault, keeps);
	}

	/** How often whoever holds a key has to say so, milliseconds. */
	static readonly renewMs = LEASE_MS / 3;

	/**
	 * @param request what tells it from others
	 * @param invocation the id that it has, should it be the first with this key
	 * @param isThereMemory for a key that isn't known. Default: true
	 * @throws BerthError storage_full when the project's keys take as much as they may
	 */
	async claim(project: string, key: string, request: string, invocation: string, isThereMemory = true): Promise<KeyClaim> {
		const id = keys.idempotencyKey(project, createHash("sha256").update(key).digest("hex"));
		const kept = keys.idempotencyKept(project);
		const holder = randomBytes(12).toString("base64url");
		const args = [request, holder, LEASE_MS, this.#keeps.ms, invocation, this.#keeps.bytes, isThereMemory ? 1 : 0];
		const [kind, word = ""] = (await this.#do(() => CLAIM.run(this.#redis, [id, kept], args))) as [KeyClaim["kind"] | "many", string?];
		if (kind === "many") throw this.#tooMany(project, Number(word));
		if (kind === "claimed") return { kind, held: { id, holder, kept }, invocation: word };
		return kind === "answered" ? { kind, id, answer: word } : { kind };
	}

	#tooMany(project: string, retryAfterMs: number): BerthError {
		const most = Math.ceil(this.#keeps.bytes / MIB);
		const hours = this.#keeps.ms / HOUR_MS;
		const detail = `idempotency keys of project ${project} take as much with their answers as they may, ${most} MiB (BERTH_IDEMPOTENCY_MIB), and each is kept for ${hours} hours; nothing was done: send it later, or without a key`;
		return new BerthError("storage_full", detail, { extra: { retryAfterMs } });
	}

	/** The request is still being served. */
	async renew({ id, holder }: HeldKey): Promise<void> {
		await this.#do(() => RENEW.run(this.#redis, [id], [holder, LEASE_MS]));
	}

	/** The request is answered; every repetition of it is, too, from now on. */
	async answer({ id, holder, kept }: HeldKey, answer: string): Promise<void> {
		await this.#do(() => END.run(this.#redis, [id, kept], [holder, answer]));
	}

	/** What was done is in doubt: the same request may come again at once, and has the same id then. */
	async letGo({ id, holder }: HeldKey): Promise<void> {
		await this.#do(() => LET_GO.run(this.#redis, [id], [holder]));
	}

	/** Nothing was done: the key is as good as new, unless an earlier try left it in doubt: then it goes on as with `letGo`. */
	async release({ id, holder, kept }: HeldKey): Promise<void> {
		await this.#do(() => END.run(this.#redis, [id, kept], [holder, ""]));
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
