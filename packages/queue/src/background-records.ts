import {
	type AttemptRecord,
	type CallbackRecord,
	type FollowerRecord,
	HOUR_MS,
	type InvocationRecord,
	type InvocationRequest,
	type Settlement,
} from "@berth/contracts";
import { LuaScript, type Redis } from "@berth/redis";
import { BACKGROUND_TOTALS, backgroundOf, backgroundRecordOf, OUTBOX, OUTBOX_NEWS } from "./keys.js";
import { FOLLOW_UP, followUpsOf } from "./outbox.js";
import { recordHead } from "./settlements.js";

/** How long a record is kept after its last change. */
const KEEP_MS = 24 * HOUR_MS;

const ACCEPT = new LuaScript(`
	redis.call("SET", KEYS[3], ARGV[2], "PX", ARGV[3])
	if redis.call("EXISTS", KEYS[1]) == 1 then return 0 end
	redis.call("HSET", KEYS[1], "head", ARGV[1], "state", "queued", "fence", 0, "queuedAt", ARGV[2], unpack(ARGV, 4))
	redis.call("PEXPIRE", KEYS[1], ARGV[3])
	redis.call("HINCRBY", KEYS[2], "accepted", 1)
	return 1
`);

const WITHDRAW = new LuaScript(`
	local record = redis.call("HMGET", KEYS[1], "state", "fence")
	if record[1] ~= "queued" or record[2] ~= "0" then return 0 end
	redis.call("DEL", KEYS[1])
	redis.call("HINCRBY", KEYS[2], "accepted", -1)
	return 1
`);

const BEGIN = new LuaScript(`
	local record = redis.call("HMGET", KEYS[1], "state", "fence", "owner", "queuedAt", "dead")
	if record[1] == "settled" then return { "settled", record[5] or "0" } end
	if not record[1] then
		redis.call("HSET", KEYS[1], "queuedAt", ARGV[5], unpack(ARGV, 6))
		redis.call("HINCRBY", KEYS[2], "accepted", 1)
	end
	local fence, attempt = tonumber(record[2] or "0"), tonumber(ARGV[1])
	if fence > attempt or (fence == attempt and record[3] ~= ARGV[2]) then return { "stale", "0" } end
	redis.call("HSET", KEYS[1], "head", ARGV[3], "state", "running", "fence", ARGV[1], "owner", ARGV[2])
	redis.call("PEXPIRE", KEYS[1], ARGV[4])
	return { "begun", record[4] or ARGV[5] }
`);

const END = new LuaScript(`${FOLLOW_UP}
	local record = redis.call("HMGET", KEYS[1], "state", "fence")
	if record[2] ~= ARGV[1] then return 0 end
	if record[1] ~= "running" then return record[1] == ARGV[2] and 1 or 0 end
	redis.call("HSET", KEYS[1], "state", ARGV[2], "last", ARGV[4], "queuedAt", ARGV[7])
	for at, field in ipairs({ "result", "logs" }) do
		if ARGV[4 + at] == "" then redis.call("HDEL", KEYS[1], field) else redis.call("HSET", KEYS[1], field, ARGV[4 + at]) end
	end
	if ARGV[2] == "settled" then
		redis.call("HSET", KEYS[1], "dead", ARGV[3])
		redis.call("HINCRBY", KEYS[2], ARGV[3] == "1" and "dead" or "settled", 1)
		followUp(KEYS[1], KEYS[3], KEYS[4])
	end
	redis.call("PEXPIRE", KEYS[1], ARGV[8])
	return 1
`);

/** What a worker finds when it is about to begin an attempt. */
export type Beginning =
	| { readonly kind: "begun"; readonly queuedAtMs: number }
	/** A newer attempt holds the record. */
	| { readonly kind: "stale" }
	/** It is over already; the job may go. */
	| { readonly kind: "settled"; readonly dead: boolean };

/** How an attempt leaves its invocation. */
export type Ending = "settled" | "dead" | "retried";

/** The records of background invocations on the durable Redis: a hash each, kept for 24 hours after its last change. */
export class BackgroundRecords {
	readonly #redis: Redis;

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** Writes the record in state `queued` and counts it; false if there is one of that id, perhaps of a worker that was quicker. */
	async accept(request: InvocationRequest): Promise<boolean> {
		const { id, project, function: name, version, acceptedAtMs } = request;
		const accepted = [...keysOf(id), backgroundOf(project, name, version)];
		return (await ACCEPT.run(this.#redis, accepted, [headOf(request), acceptedAtMs, KEEP_MS, ...followUpsOf(request)])) === 1;
	}

	/** Whether an invocation of a version was accepted within a day: it may still wait, and its record is kept. */
	async hasAny({ project, function: name, version }: Pick<InvocationRequest, "project" | "function" | "version">): Promise<boolean> {
		return (await this.#redis.exists(backgroundOf(project, name, version))) === 1;
	}

	/** Takes back what was accepted and never begun. */
	async withdraw(id: string): Promise<void> {
		await WITHDRAW.run(this.#redis, keysOf(id), []);
	}

	/**
	 * Moves the record to `running`, fenced by the attempt; makes it, and counts the invocation, if its
	 * gateway hasn't (yet). @param owner the job's lock token
	 */
	async begin(request: InvocationRequest, attempt: number, owner: string): Promise<Beginning> {
		const args = [attempt, owner, headOf(request), KEEP_MS, request.acceptedAtMs, ...followUpsOf(request)];
		const answer = (await BEGIN.run(this.#redis, keysOf(request.id), args)) as [string, string];
		if (answer[0] === "settled") return { kind: "settled", dead: answer[1] === "1" };
		if (answer[0] === "stale") return { kind: "stale" };
		return { kind: "begun", queuedAtMs: Number(answer[1]) };
	}

	/** Writes an attempt's settlement; false when the attempt is stale. Doing it twice changes nothing. */
	async end(id: string, { attempt, result, logs }: Settlement, ending: Ending): Promise<boolean> {
		const state = ending === "retried" ? "queued" : "settled";
		const args = [
			attempt.attempt,
			state,
			ending === "dead" ? 1 : 0,
			JSON.stringify(attempt),
			textOf(result),
			textOf(logs),
			attempt.finishedAtMs,
			KEEP_MS,
		];
		return (await END.run(this.#redis, [...keysOf(id), OUTBOX, OUTBOX_NEWS], args)) === 1;
	}

	async read(id: string): Promise<InvocationRecord | undefined> {
		const fields = await this.#redis.hgetall(backgroundRecordOf(id));
		const { head, state, last, result, logs, callback, follower } = fields;
		if (head === undefined || state === undefined) return undefined;
		return {
			...(JSON.parse(head) as ReturnType<typeof recordHead>),
			state: state as InvocationRecord["state"],
			...(last === undefined ? {} : { last: JSON.parse(last) as AttemptRecord }),
			...(result === undefined ? {} : { result: JSON.parse(result) as NonNullable<InvocationRecord["result"]> }),
			...(logs === undefined ? {} : { logs: JSON.parse(logs) as NonNullable<InvocationRecord["logs"]> }),
			...(callback === undefined ? {} : { callback: JSON.parse(callback) as CallbackRecord }),
			...(follower === undefined ? {} : { follower: JSON.parse(follower) as FollowerRecord }),
		};
	}
}

function keysOf(id: string): string[] {
	return [backgroundRecordOf(id), BACKGROUND_TOTALS];
}

function headOf(request: InvocationRequest): string {
	return JSON.stringify(recordHead(request, "background"));
}

function textOf(value: object | undefined): string {
	return value === undefined ? "" : JSON.stringify(value);
}
