import {
	type BackgroundHistory,
	type CallbackRecord,
	DAY_MS,
	type FollowerRecord,
	HOUR_MS,
	type InvocationRecord,
	type InvocationRequest,
	type LoggedAttempt,
	MIB,
	type Settlement,
} from "@berth/contracts";
import { type Redis, ServerClock, sharedNow } from "@berth/redis";
import { ACCEPT, BEGIN, CANCEL, END, JOB_GONE, KEEP_REQUEST, PUT_OFF, WITHDRAW } from "./background-scripts.js";
import {
	BACKGROUND_TOTALS,
	backgroundOf,
	backgroundRecordOf,
	deadLettersOf,
	functionListOf,
	LISTS,
	OUTBOX,
	OUTBOX_NEWS,
	projectListOf,
} from "./keys.js";
import { MEMORY_PARTS } from "./memory-script.js";
import { followUpsOf } from "./outbox.js";
import { recordHead } from "./settlements.js";

/** How long records are kept. */
export interface Retention {
	/** After an invocation was settled, milliseconds. */
	readonly recordsMs: number;
	/** What those of a project that are settled may take of the durable Redis: beyond it the oldest go sooner. Dead letters aren't among them. */
	readonly recordBytes: number;
}
export const DEFAULT_RETENTION: Retention = { recordsMs: DAY_MS, recordBytes: 256 * MIB };
/** Dead letters: how long they are kept, and how many of a project, the newest, with how many bytes. */
export const DEAD_LETTERS_KEPT = { ms: 7 * DAY_MS, count: 10_000, bytes: 64 * MIB } as const;
/** What isn't settled has a record for longer than it may wait. */
const UNSETTLED_MS = 45 * DAY_MS;
/** A version that something was accepted of is known for a day. */
const MARKED_MS = 24 * HOUR_MS;
/** A request that is larger as JSON than this isn't kept for a replay: its headers are large. */
const REQUEST_BYTES = 32 * 1024;
/** Of an error's name and message, when memory is scarce. */
const SHORT_CHARS = 100;

/** What a worker finds when it is about to begin an attempt. */
export type Beginning =
	| {
			readonly kind: "begun";
			readonly queuedAtMs: number /** Somebody has cancelled it while another worker had it. */;
			readonly cancelled: boolean;
	  }
	/** A newer attempt holds the record. */
	| { readonly kind: "stale" }
	/** It is over already; the job may go. */
	| { readonly kind: "settled"; readonly dead: boolean };

/** How an attempt leaves its invocation. */
export type Ending = "settled" | "dead" | "retried";
/** What came of writing that down: the same, `cancelled` instead when it failed and somebody had cancelled it, or nothing for a stale attempt. */
export type Ended = Ending | "cancelled" | "stale";

/** The state in which a cancellation found an invocation. */
export type Cancelled = InvocationRecord["state"] | "none";

/** The records of background invocations on the durable Redis: a hash each. */
export class BackgroundRecords {
	readonly #redis: Redis;
	readonly #retention: Retention;
	readonly #clock: ServerClock;

	constructor(redis: Redis, retention: Retention = DEFAULT_RETENTION, clock = new ServerClock(redis)) {
		this.#redis = redis;
		this.#retention = retention;
		this.#clock = clock;
	}

	/** Writes the record in state `queued`, lists and counts it, in time or never; false if there is one of that id, perhaps of a worker that was quicker. */
	async accept(request: InvocationRequest): Promise<boolean> {
		const { id, project, function: name, version, acceptedAtMs } = request;
		const keys = [...listedKeysOf(request), backgroundOf(project, name, version)];
		const queuedAtMs = queuedAtOf(request);
		const markedMs = MARKED_MS + queuedAtMs - acceptedAtMs + (request.retry?.maxAgeMs ?? 0);
		const args = [id, headOf(request), queuedAtMs, markedMs, UNSETTLED_MS, ...fieldsOf(request)];
		return (await this.#clock.inTime((notAfterMs) => ACCEPT.run(this.#redis, keys, [...args, notAfterMs]))) === 1;
	}

	/** Whether an invocation of a version was accepted within a day: it may still wait, and its record is kept. */
	async hasAny({ project, function: name, version }: Pick<InvocationRequest, "project" | "function" | "version">): Promise<boolean> {
		return (await this.#redis.exists(backgroundOf(project, name, version))) === 1;
	}

	/** Takes back what was accepted and never begun. @returns whether there is no record of it now */
	async withdraw(id: string): Promise<boolean> {
		return (await WITHDRAW.run(this.#redis, keysOf(id), [])) === 1;
	}

	/**
	 * Moves the record to `running`, fenced by the attempt; makes it, and counts the invocation, if its
	 * gateway hasn't (yet). An older attempt that still runs, by the record, is written down as lost with its worker.
	 * @param owner the job's lock token
	 */
	async begin(request: InvocationRequest, attempt: number, owner: string, node: string): Promise<Beginning> {
		const queuedAtMs = queuedAtOf(request);
		const args = [request.id, headOf(request), queuedAtMs, attempt, owner, sharedNow(), UNSETTLED_MS, node, ...fieldsOf(request)];
		const [kind, value, cancelled] = (await BEGIN.run(this.#redis, listedKeysOf(request), args)) as [string, string, string];
		if (kind === "settled") return { kind, dead: value === "1" };
		if (kind === "stale") return { kind };
		return { kind: "begun", queuedAtMs: Number(value), cancelled: cancelled === "1" };
	}

	/**
	 * Writes an attempt's settlement. Doing it twice changes nothing.
	 * @param request as it is kept for a replay, when it is the last one
	 * @param nextAtMs when the next one may begin, where it is tried again
	 * Where memory is scarce, only how an attempt went that is tried again is kept, shortly, in the place of the one before.
	 */
	async end(request: InvocationRequest, settlement: Settlement, ending: Ending, nextAtMs = sharedNow()): Promise<Ended> {
		const { id, project } = request;
		const { attempt, result, logs } = settlement;
		const text = JSON.stringify(logs === undefined ? attempt : { ...attempt, logs });
		const kept = ending === "retried" ? "" : keptText(request);
		const answer = await END.run(
			this.#redis,
			[...keysOf(id), deadLettersOf(project), LISTS, OUTBOX, OUTBOX_NEWS],
			[
				id,
				attempt.attempt,
				ending === "retried" ? "queued" : "settled",
				ending === "dead" ? 1 : 0,
				text,
				result === undefined ? "" : JSON.stringify(result),
				kept,
				attempt.outcome,
				attempt.code ?? "",
				attempt.finishedAtMs,
				UNSETTLED_MS,
				this.#retention.recordsMs,
				DEAD_LETTERS_KEPT.ms,
				DEAD_LETTERS_KEPT.count,
				this.#retention.recordBytes,
				DEAD_LETTERS_KEPT.bytes,
				ending === "retried" ? JSON.stringify(shortened(attempt)) : "",
				MEMORY_PARTS.work,
				nextAtMs,
			],
		);
		if (answer === 0) return "stale";
		return answer === 2 ? "cancelled" : ending;
	}

	/**
	 * The attempt, of which nothing ran, is none: the invocation waits as it did before. Doing it twice changes nothing.
	 * @returns false when it isn't that attempt's any more, or was cancelled meanwhile
	 */
	async putOff(id: string, attempt: number, owner: string): Promise<boolean> {
		return (await PUT_OFF.run(this.#redis, [backgroundRecordOf(id)], [id, attempt, owner])) === 1;
	}

	/** Settles what waits as cancelled, kept until `jobGone`; marks what runs. @returns in which state it was */
	async cancel(id: string): Promise<Cancelled> {
		return (await CANCEL.run(this.#redis, [...keysOf(id), OUTBOX, OUTBOX_NEWS], [id, sharedNow()])) as Cancelled;
	}

	/** The job of one that was cancelled is there no more: from now on its record is kept as any that is settled. */
	async jobGone(id: string): Promise<void> {
		await JOB_GONE.run(this.#redis, [backgroundRecordOf(id)], [this.#retention.recordsMs]);
	}

	/** Which of these were cancelled while they ran. */
	async cancelledOf(ids: readonly string[]): Promise<string[]> {
		const asked = await Promise.all(ids.map((id) => this.#redis.hexists(backgroundRecordOf(id), "cancelAskedAt")));
		return ids.filter((_, at) => asked[at] === 1);
	}

	async read(id: string): Promise<InvocationRecord | undefined> {
		return recordOf(await this.#redis.hgetall(backgroundRecordOf(id)));
	}

	/** As it is kept for a replay: without what the record's head has. Undefined when it isn't. */
	async request(id: string): Promise<KeptRequest | undefined> {
		const text = await this.#redis.hget(backgroundRecordOf(id), "request");
		return text === null ? undefined : (JSON.parse(text) as KeptRequest);
	}

	/** Keeps the request of one that was settled without a worker, while there is a record. */
	async keep(request: InvocationRequest): Promise<void> {
		const text = keptText(request);
		if (text !== "") await KEEP_REQUEST.run(this.#redis, [backgroundRecordOf(request.id)], [text]);
	}
}

/** What a replay needs of a request beside what its record's head says. */
export type KeptRequest = Pick<InvocationRequest, "trigger" | "body" | "timeoutMs" | "callback">;

/** How an attempt went, in a few hundred bytes. */
function shortened({ error, ...attempt }: Settlement["attempt"]): Settlement["attempt"] {
	if (error === undefined) return attempt;
	const { name, message } = error;
	return { ...attempt, error: { name: name.slice(0, SHORT_CHARS), message: message.slice(0, SHORT_CHARS) } };
}

function keptText({ trigger, body, timeoutMs, callback }: InvocationRequest): string {
	const kept: KeptRequest = { trigger, body, timeoutMs, ...(callback === undefined ? {} : { callback }) };
	const text = JSON.stringify(kept);
	return text.length > REQUEST_BYTES ? "" : text;
}

/** Fields that a record has from the beginning, in pairs. */
function fieldsOf(request: InvocationRequest): readonly string[] {
	return [...(request.again === true ? ["again", "1"] : []), ...followUpsOf(request)];
}

/** Since when it could be run. */
function queuedAtOf({ acceptedAtMs, runAtMs = 0 }: InvocationRequest): number {
	return Math.max(acceptedAtMs, runAtMs);
}

function keysOf(id: string): string[] {
	return [backgroundRecordOf(id), BACKGROUND_TOTALS];
}

function listedKeysOf({ id, project, function: name }: InvocationRequest): string[] {
	return [...keysOf(id), projectListOf(project), functionListOf(project, name), LISTS];
}

function headOf(request: InvocationRequest): string {
	return JSON.stringify(recordHead(request, "background"));
}

/** Fields of a record's hash → what they say. */
export function recordOf(fields: Readonly<Record<string, string>>): InvocationRecord | undefined {
	const { head, state, result, callback, follower } = fields;
	if (head === undefined || state === undefined) return undefined;
	const background = historyOf(fields);
	const { logs, ...last } = background.attempts.at(-1) ?? {};
	return {
		...(JSON.parse(head) as ReturnType<typeof recordHead>),
		state: state as InvocationRecord["state"],
		...("outcome" in last ? { last: last as Omit<LoggedAttempt, "logs"> } : {}),
		...(result === undefined ? {} : { result: JSON.parse(result) as NonNullable<InvocationRecord["result"]> }),
		...(logs === undefined ? {} : { logs }),
		...(callback === undefined ? {} : { callback: JSON.parse(callback) as CallbackRecord }),
		...(follower === undefined ? {} : { follower: JSON.parse(follower) as FollowerRecord }),
		background,
	};
}

function historyOf(fields: Readonly<Record<string, string>>): BackgroundHistory {
	const attempts = Object.entries(fields)
		.filter(([field]) => field.startsWith("attempt:"))
		.map(([, text]) => JSON.parse(text) as LoggedAttempt)
		.sort((a, b) => a.attempt - b.attempt);
	const { startedAt, beganAt, nextAt, settledAt, outcome, code, dead, fence, cancelAskedAt, replayedAs } = fields;
	return {
		attempts,
		attemptCount: Number(fields["attempts"] ?? 0),
		attempt: Number(fence ?? 0),
		...(startedAt === undefined ? {} : { startedAtMs: Number(startedAt) }),
		...(beganAt === undefined ? {} : { beganAtMs: Number(beganAt) }),
		...(nextAt === undefined ? {} : { nextAtMs: Number(nextAt) }),
		...(settledAt === undefined ? {} : { settledAtMs: Number(settledAt) }),
		...(outcome === undefined ? {} : { outcome: outcome as NonNullable<BackgroundHistory["outcome"]> }),
		...(code === undefined || code === "" ? {} : { code }),
		dead: dead === "1",
		...(cancelAskedAt === undefined ? {} : { cancelAskedAtMs: Number(cancelAskedAt) }),
		...(replayedAs === undefined ? {} : { replayedAs }),
	};
}
