import type {
	BodyReference,
	CallbackRecord,
	Follow,
	FollowerRecord,
	HttpRequestHead,
	InvocationRequest,
	TraceContext,
	Trigger,
} from "@berth/contracts";
import { closeRedis, guarded, LuaScript, type Redis, Subscription } from "@berth/redis";
import { backgroundRecordOf, OUTBOX, OUTBOX_NEWS } from "./keys.js";

/** How long a courier has for what it took: then another one may take it. Milliseconds. */
const LEASE_MS = 30_000;
/** A record that something is still to be said in stays so long beyond that. */
const KEPT_MS = 3_600_000;

/** What of a settled invocation is to be sent. A field of its record has how far that is. */
type FollowUpKind = "callback" | "follower";

/**
 * Lua: puts what follows a settlement into the outbox, for whatever script settles one, so that neither is without the other.
 * The outbox is a sorted set of `kind:id` by when it is due; where a record says that something follows, it has a field of that kind.
 */
export const FOLLOW_UP = `
	local function followUp(record, outbox, news)
		local id, follows = string.match(record, "[^:]+$"), false
		for _, kind in ipairs({ "callback", "follower" }) do
			if redis.call("HEXISTS", record, kind) == 1 then
				redis.call("ZADD", outbox, 0, kind .. ":" .. id)
				follows = true
			end
		end
		if follows then redis.call("PUBLISH", news, id) end
	end
`;

const NOW = `
	local time = redis.call("TIME")
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** The half of a millisecond tells what is held from what only isn't due yet. */
const CLAIM = new LuaScript(`${NOW}
	local taken = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now, "LIMIT", 0, ARGV[1])
	for at, member in ipairs(taken) do
		taken[at] = { member, tostring(now + ARGV[2] + 0.5) }
		redis.call("ZADD", KEYS[1], now + ARGV[2] + 0.5, member)
	end
	local first = redis.call("ZRANGE", KEYS[1], 0, 0, "WITHSCORES")
	return { taken, first[2] and tostring(math.max(0, first[2] - now)) or "" }
`);

const NOTE = new LuaScript(`${NOW}
	if redis.call("ZSCORE", KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
	if redis.call("EXISTS", KEYS[2]) == 1 then redis.call("HSET", KEYS[2], ARGV[3], ARGV[4]) end
	if ARGV[5] == "" then
		redis.call("ZREM", KEYS[1], ARGV[1])
	elseif ARGV[5] ~= "held" then
		redis.call("ZADD", KEYS[1], now + ARGV[5], ARGV[1])
		local least = ARGV[5] + ARGV[6]
		if redis.call("PTTL", KEYS[2]) < least then redis.call("PEXPIRE", KEYS[2], least) end
	end
	return 1
`);

const AGAIN = new LuaScript(`${NOW}
	local due = redis.call("ZSCORE", KEYS[1], ARGV[1])
	if redis.call("HGET", KEYS[2], "state") ~= "settled" then return 0 end
	if not due or due % 1 == 0 then redis.call("ZADD", KEYS[1], now, ARGV[1]) end
	redis.call("PUBLISH", ARGV[2], ARGV[1])
	return 1
`);

const POSTPONE = new LuaScript(`${NOW}
	if redis.call("ZSCORE", KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
	return redis.call("ZADD", KEYS[1], now + ARGV[3], ARGV[1])
`);

const FORGET = new LuaScript(`
	if redis.call("ZSCORE", KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
	return redis.call("ZREM", KEYS[1], ARGV[1])
`);

/** One thing that a courier holds for a while. */
export interface FollowUp {
	readonly kind: FollowUpKind;
	/** The settled invocation's id. */
	readonly id: string;
	/** Fences: whoever took it later has another one. */
	readonly lease: string;
}

/** What follows settlements, on the durable Redis, from the settlement on until it is delivered or given up. Any number of couriers may take of it. */
export class Outbox {
	readonly #redis: Redis;
	readonly #owned: readonly Redis[];

	/** @param owned connections for commands and for a subscription, that are closed with it */
	constructor(owned: readonly [Redis, Redis]) {
		this.#redis = owned[0];
		this.#owned = owned;
	}

	/** @param onNews told when there may be something to take, also after it may have been missed */
	listen(onNews: () => void): void {
		new Subscription(this.#owned[1] as Redis, [OUTBOX_NEWS], { onMessage: onNews, onResumed: onNews });
	}

	/** Takes what is due, `most` at most. @returns it, and when the next is due, milliseconds; absent when there is none */
	async claim(most: number): Promise<{ readonly taken: readonly FollowUp[]; readonly nextMs?: number }> {
		const [members, next] = (await this.#do("taking what follows settlements", () =>
			CLAIM.run(this.#redis, [OUTBOX], [most, LEASE_MS]),
		)) as [[string, string][], string];
		const taken = members.map(([member, lease]) => {
			const [kind = "", id = ""] = member.split(":");
			return { kind: kind as FollowUpKind, id, lease };
		});
		return { taken, ...(next === "" ? {} : { nextMs: Number(next) }) };
	}

	/**
	 * Writes down how far it is. @param next milliseconds until it is due again; `held`: the lease goes on; absent: it is over
	 * @returns whether the lease was still good; if not, nothing is written
	 */
	async note({ kind, id, lease }: FollowUp, state: CallbackRecord | FollowerRecord, next?: number | "held"): Promise<boolean> {
		const args = [`${kind}:${id}`, lease, kind, JSON.stringify(state), next ?? "", KEPT_MS];
		return (await this.#do("noting what followed", () => NOTE.run(this.#redis, [OUTBOX, backgroundRecordOf(id)], args))) === 1;
	}

	/** Puts it off, as if it hadn't been taken. */
	async postpone({ kind, id, lease }: FollowUp, byMs: number): Promise<void> {
		await this.#do("putting off what follows", () => POSTPONE.run(this.#redis, [OUTBOX], [`${kind}:${id}`, lease, byMs]));
	}

	/** Takes it out: there is nothing left to send. */
	async forget({ kind, id, lease }: FollowUp): Promise<void> {
		await this.#do("ending what follows", () => FORGET.run(this.#redis, [OUTBOX], [`${kind}:${id}`, lease]));
	}

	/** Has a callback sent as soon as possible, also one that is over. @returns whether its invocation is settled */
	async again(id: string): Promise<boolean> {
		const args = [`callback:${id}`, OUTBOX_NEWS];
		return (await this.#do("sending a callback again", () => AGAIN.run(this.#redis, [OUTBOX, backgroundRecordOf(id)], args))) === 1;
	}

	/** What a settlement's follower is made of; undefined when the record is gone. */
	async materialOf(id: string): Promise<FollowerMaterial | undefined> {
		const text = await this.#do("reading what follows", () => this.#redis.hget(backgroundRecordOf(id), "material"));
		return text === null ? undefined : (JSON.parse(text) as FollowerMaterial);
	}

	/** How many wait or are held. */
	async size(): Promise<number> {
		return await this.#do("counting what follows", () => this.#redis.zcard(OUTBOX));
	}

	async close(): Promise<void> {
		await Promise.all(this.#owned.map(closeRedis));
	}

	#do<T>(what: string, commands: () => Promise<T>): Promise<T> {
		return guarded(this.#redis, what, commands);
	}
}

/** What a follower's payload is made of beside the settlement. */
export interface FollowerMaterial {
	readonly follow: Follow;
	readonly contentType?: string;
	/** The method and URL of an HTTP request. */
	readonly http?: Pick<HttpRequestHead, "method" | "url">;
	readonly body: BodyReference;
	readonly depth: number;
	/** What follows is of the same trace. */
	readonly trace?: TraceContext;
}

/** Fields of a record, in pairs, of which each that is to follow the settlement has one from the beginning. */
export function followUpsOf({ callback, follow, trigger, body, depth = 0, trace }: InvocationRequest): readonly string[] {
	const waiting = { state: "waiting", attempts: 0 } as const;
	const posted = callback === undefined ? [] : ["callback", JSON.stringify({ url: callback, ...waiting } satisfies CallbackRecord)];
	if (follow === undefined) return posted;
	const material = { follow, ...headOf(trigger), body, depth, ...(trace === undefined ? {} : { trace }) } satisfies FollowerMaterial;
	return [...posted, "follower", JSON.stringify(waiting satisfies FollowerRecord), "material", JSON.stringify(material)];
}

function headOf(trigger: Trigger): Pick<FollowerMaterial, "contentType" | "http"> {
	if (trigger.kind === "event") return trigger.contentType === undefined ? {} : { contentType: trigger.contentType };
	const { method, url, headers } = trigger.request;
	const contentType = headers.find(([name]) => name === "content-type")?.[1];
	return { http: { method, url }, ...(contentType === undefined ? {} : { contentType }) };
}
