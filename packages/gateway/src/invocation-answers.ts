import { isUtf8 } from "node:buffer";
import {
	type AttemptAnswer,
	type AttemptDetail,
	BerthError,
	type InvocationAnswer,
	type InvocationRecord,
	type InvocationResult,
	type InvocationSummary,
	type LogBook,
	type LoggedAttempt,
	outcomeOf,
} from "@berth/contracts";
import type { ArtifactStore } from "@berth/registry";
import { isJson, parseJson } from "./json.js";
import { logEntriesOf } from "./log-entries.js";

/** What a list says of an invocation. */
export function summaryOf(record: InvocationRecord): InvocationSummary {
	const {
		id,
		project,
		function: name,
		version,
		lane,
		state,
		source = "api",
		replayOf,
		parent,
		depth,
		traceId,
		acceptedAtMs,
		runAtMs,
		background,
		last,
	} = record;
	const outcome = outcomeOf(record);
	const code = state === "settled" ? (background === undefined ? last?.code : background.code) : undefined;
	const attempt = background === undefined ? last?.attempt : background.attempt || undefined;
	return {
		id,
		project,
		function: name,
		version,
		lane,
		state,
		source,
		...(replayOf === undefined ? {} : { replayOf }),
		...(parent === undefined ? {} : { parent }),
		...(depth === undefined ? {} : { depth }),
		...(traceId === undefined ? {} : { traceId }),
		...(background?.replayedAs === undefined ? {} : { replayedAs: background.replayedAs }),
		acceptedAt: isoOf(acceptedAtMs),
		...timeOf("runAt", runAtMs),
		...timeOf("startedAt", background === undefined ? (last?.start === undefined ? undefined : turnOf(last)) : background.startedAtMs),
		...timeOf("settledAt", background === undefined ? last?.finishedAtMs : background.settledAtMs),
		...timeOf("cancelAskedAt", background?.cancelAskedAtMs),
		...(outcome === undefined ? {} : { outcome }),
		...(code === undefined ? {} : { code }),
		...(attempt === undefined ? {} : { attempt }),
		attemptCount: background?.attemptCount ?? (last === undefined ? 0 : 1),
		...(background?.dead === true ? { dead: true as const } : {}),
	};
}

/** Everything; the details and the log of the last attempt that has finished. */
export async function answerOf(record: InvocationRecord, artifacts: ArtifactStore): Promise<InvocationAnswer> {
	const { callback, follower } = record;
	const attempts = attemptsOf(record);
	const last = attempts.at(-1);
	const [logged, result] = [await loggedOf(last?.logs, artifacts), await resultOf(record.result, artifacts)];
	const removed = [...(logged.removed ?? []), ...(record.result !== undefined && result === undefined ? ["result" as const] : [])];
	return {
		...(last === undefined ? {} : detailsOf(attemptAnswerOf(last))),
		...summaryOf(record),
		attempts: attempts.map(attemptAnswerOf),
		...(result === undefined ? {} : { result }),
		...logged,
		...(removed.length === 0 ? {} : { removed }),
		...(callback === undefined ? {} : { callback }),
		...(follower === undefined ? {} : { follower }),
	};
}

/** One attempt with its log. @throws BerthError invocation_not_found */
export async function attemptDetailOf(record: InvocationRecord, number: number, artifacts: ArtifactStore): Promise<AttemptDetail> {
	const attempts = attemptsOf(record);
	const attempt = attempts.find((one) => one.attempt === number);
	if (attempt === undefined) {
		const kept = attempts.map((one) => one.attempt).join(", ");
		throw new BerthError(
			"invocation_not_found",
			`the record of ${record.id} has no finished attempt ${number}; it has ${kept === "" ? "none" : kept}`,
		);
	}
	return { ...attemptAnswerOf(attempt), ...(await loggedOf(attempt.logs, artifacts)) };
}

export function attemptAnswerOf({ finishedAtMs, logs: _, ...attempt }: LoggedAttempt): AttemptAnswer {
	return { ...attempt, finishedAt: isoOf(finishedAtMs) };
}

export function attemptsOf({ background, last, logs }: InvocationRecord): readonly LoggedAttempt[] {
	if (background !== undefined) return background.attempts;
	return last === undefined ? [] : [logs === undefined ? last : { ...last, logs }];
}

/** When an attempt had its turn. */
export function turnOf({ finishedAtMs, phases: { startMs, initMs, runMs } }: LoggedAttempt): number {
	return finishedAtMs - (startMs + initMs + runMs);
}

export function isoOf(ms: number): string {
	return new Date(ms).toISOString();
}

/** What isn't the invocation's own to say. */
function detailsOf({ outcome: _, code: __, attempt: ___, ...details }: AttemptAnswer): Omit<AttemptAnswer, "outcome" | "code" | "attempt"> {
	return details;
}

function timeOf<Field extends string>(field: Field, ms: number | undefined): Partial<Record<Field, string>> {
	return ms === undefined ? {} : ({ [field]: isoOf(ms) } as Record<Field, string>);
}

async function loggedOf(
	book: LogBook | undefined,
	artifacts: ArtifactStore,
): Promise<Pick<AttemptDetail, "logs" | "logsTruncated" | "removed">> {
	const lines = await logEntriesOf(book, artifacts);
	return {
		logs: lines ?? [],
		logsTruncated: book?.truncated ?? false,
		...(lines === undefined ? { removed: ["logs" as const] } : {}),
	};
}

/** Undefined when there is none, or when it was removed. */
async function resultOf(result: InvocationResult | undefined, { results }: ArtifactStore): Promise<InvocationAnswer["result"] | undefined> {
	if (result === undefined) return undefined;
	const { body, contentType, response } = result;
	const head = { ...(contentType === undefined ? {} : { contentType }), ...(response === undefined ? {} : { status: response.status }) };
	if (!("payload" in body)) return { ...head, ...shownBody(body, contentType) };
	const bytes = await results.find(body.payload);
	if (bytes === undefined) return undefined;
	return { ...head, ...shownBody(textOrBase64(bytes), contentType) };
}

export function textOrBase64(bytes: Buffer): { readonly text: string } | { readonly base64: string } {
	return isUtf8(bytes) ? { text: bytes.toString("utf8") } : { base64: bytes.toString("base64") };
}

/** A body as it stands in JSON: parsed when that is what it is. */
export function shownBody(
	body: { readonly text: string } | { readonly base64: string },
	contentType: string | undefined,
): { readonly json: unknown } | { readonly text: string } | { readonly base64: string } {
	if ("base64" in body) return body;
	return contentType !== undefined && isJson(contentType) ? asJson(body.text) : body;
}

/** A function may call anything JSON: what isn't, is too much to parse, or can't be written again, stays text. */
function asJson(text: string): { readonly json: unknown } | { readonly text: string } {
	try {
		return { json: parseJson(Buffer.from(text), "the result") };
	} catch (error) {
		if (!(error instanceof BerthError)) throw error;
		return { text };
	}
}
