import { HOUR_MS, type InvocationRecord, type InvocationRequest, KIB, MIB, MINUTE_MS, type Settlement, timeOfId } from "@berth/contracts";
import { LuaScript, type Redis } from "@berth/redis";
import { MAILBOX_PREFIX, RECORDS } from "./keys.js";
import { SETTLE } from "./settle-script.js";
import { recordHead } from "./settlements.js";

/** How many bytes of records are kept, an estimate that counts Redis's overhead; the oldest go first. */
export interface RecordBudget {
	readonly successBytes: number;
	readonly otherBytes: number;
}
/** About 200,000 and 100,000 plain records. */
export const DEFAULT_RECORD_BUDGET: RecordBudget = { successBytes: 128 * MIB, otherBytes: 64 * MIB };

const SUCCESS = { bucketMs: 10_000, keepMs: 10 * MINUTE_MS };
const OTHER = { bucketMs: 10 * MINUTE_MS, keepMs: 24 * HOUR_MS };
const MAIL_KEPT = 512;
const MAIL_KEPT_S = 60;

/** One settlement to be recorded and published. */
export interface SettledInvocation {
	readonly request: InvocationRequest;
	readonly settlement: Settlement;
	/** The reply channel of the gateway that waits. */
	readonly replyTo: string;
}

/** A settlement as it is published: without logs, which are in the record. */
export interface Reply {
	readonly id: string;
	readonly settlement: Settlement;
}

/** Said to a gateway: a worker has found this job in a server that was started again since, and let it go. Whoever waits for what was in it looks what became of that. */
export interface LetGo {
	readonly letGo: string;
}

const TAKE_MAIL = new LuaScript(`
	local mail = redis.call("LRANGE", KEYS[1], 0, -1)
	redis.call("UNLINK", KEYS[1])
	return mail
`);

/**
 * The records of settled interactive invocations on the fast Redis, in hashes by the time that is in
 * their ids: successes for 10 minutes, everything else for 24 hours, both under a budget. The result
 * isn't in them: it was answered.
 */
export class InteractiveRecords {
	readonly #redis: Redis;
	readonly #budget: RecordBudget;

	constructor(redis: Redis, budget: RecordBudget = DEFAULT_RECORD_BUDGET) {
		this.#redis = redis;
		this.#budget = budget;
	}

	/** Records and publishes in one script; for each whether it was the first settlement of its invocation. */
	async settle(settled: readonly SettledInvocation[]): Promise<boolean[]> {
		const channels = [...new Set(settled.map((one) => one.replyTo))];
		const args: (string | number)[] = [
			SUCCESS.keepMs + SUCCESS.bucketMs,
			OTHER.keepMs + OTHER.bucketMs,
			this.#budget.successBytes,
			this.#budget.otherBytes,
			MAIL_KEPT,
			MAIL_KEPT_S,
			channels.length,
			...channels,
		];
		for (const one of settled) pushArguments(args, one, channels.indexOf(one.replyTo) + 1);
		const won = (await SETTLE.run(this.#redis, [RECORDS.success.sizes, RECORDS.other.sizes], args)) as number[];
		return won.map((first) => first === 1);
	}

	/** The records of these ids, in their order; undefined where there is none (or no more). */
	async read(ids: readonly string[]): Promise<(InvocationRecord | undefined)[]> {
		const pipeline = this.#redis.pipeline();
		for (const id of ids) {
			const { success, other } = bucketsOf(id);
			pipeline.hget(RECORDS.success.buckets + success, id).hget(RECORDS.other.buckets + other, id);
		}
		const replies = (await pipeline.exec()) ?? [];
		return ids.map((_, at) => {
			const text = replyText(replies[2 * at]) ?? replyText(replies[2 * at + 1]);
			return text === undefined ? undefined : (JSON.parse(text) as InvocationRecord);
		});
	}

	/** Takes what was published to this channel while nobody listened (kept for a minute). */
	async takeMail(channel: string): Promise<string[]> {
		return (await TAKE_MAIL.run(this.#redis, [MAILBOX_PREFIX + channel], [])) as string[];
	}
}

function bucketsOf(id: string): { readonly success: number; readonly other: number } {
	const atMs = timeOfId(id) ?? 0;
	return { success: Math.floor(atMs / SUCCESS.bucketMs), other: Math.floor(atMs / OTHER.bucketMs) };
}

function pushArguments(args: (string | number)[], { request, settlement }: SettledInvocation, channel: number): void {
	const { success, other } = bucketsOf(request.id);
	const attempt = JSON.stringify(settlement.attempt);
	const logs = settlement.logs === undefined ? "" : `,"logs":${JSON.stringify(settlement.logs)}`;
	const head = JSON.stringify(recordHead(request, "interactive")).slice(0, -1);
	const result = settlement.result === undefined ? "" : `,"result":${JSON.stringify(settlement.result)}`;
	args.push(
		request.id,
		settlement.attempt.outcome === "succeeded" ? 1 : 0,
		success,
		other,
		`${head},"state":"settled","last":${attempt}${logs}}`,
		channel,
		`{"id":${JSON.stringify(request.id)},"settlement":{"attempt":${attempt}${result}}}`,
	);
}

function replyText(reply: [Error | null, unknown] | undefined): string | undefined {
	if (reply === undefined) return undefined;
	if (reply[0] !== null) throw reply[0];
	return typeof reply[1] === "string" ? reply[1] : undefined;
}

/** What a log line takes beside its text. */
const LINE_BYTES = 64;

/** About how many bytes a settlement takes on its way; the body dominates, or the headers. */
export function roughBytes(settlement: Settlement): number {
	const { result, logs, attempt } = settlement;
	const body = result?.body ?? { text: "" };
	const bodyChars = "text" in body ? body.text.length : "base64" in body ? body.base64.length : 0;
	const logChars = (logs?.lines ?? []).reduce((sum, { text }) => sum + text.length + LINE_BYTES, 0);
	const headChars = (result?.contentType?.length ?? 0) + JSON.stringify(result?.response ?? "").length;
	return KIB + bodyChars + headChars + logChars + (attempt.error?.message.length ?? 0) + (attempt.error?.stack?.length ?? 0);
}
