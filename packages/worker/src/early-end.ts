import type { AttemptRecord, BerthError, CrashLoop, FunctionError, LogBook, Settlement } from "@berth/contracts";
import { CANCEL_WORDS, type Delivery, sharedNow } from "@berth/queue";
import type { Lease } from "@berth/sandbox";
import { rounded } from "./phases.js";

/** What ends an attempt before it runs, and is its caller's doing. */
const CALLERS: ReadonlySet<string> = new Set(["cancelled", "body_too_large"]);

/** How an attempt ended that never ran its handler. */
export type EarlyEnd = Pick<AttemptRecord, "outcome" | "code" | "phases" | "error" | "crashLoop">;

export function settledEarly({ attempt: number }: Delivery, node: string, end: EarlyEnd, logs?: LogBook): Settlement {
	const attempt = { attempt: number, ...end, phases: rounded(end.phases), limitsHit: [], node, finishedAtMs: sharedNow() };
	return { attempt, ...(logs === undefined ? {} : { logs }) };
}

/** What was refused, or couldn't be done. @param startMs since it was asked for */
export function refusedBefore(delivery: Delivery, { code, name, message, extra }: BerthError, startMs: number): EarlyEnd {
	const outcome = CALLERS.has(code) ? "cancelled" : "platform_error";
	const error = code === "cancelled" ? cancellation(delivery, "before it began") : { name, message };
	const phases = { queueMs: delivery.queueMs, startMs, initMs: 0, runMs: 0 };
	const crashLoop = extra["crashLoop"] as CrashLoop | undefined;
	return { outcome, code, phases, error, ...(crashLoop === undefined ? {} : { crashLoop }) };
}

/** Nobody can run it any more: its function or version was deleted while it waited. */
export function deletedBefore({ queueMs }: Delivery, { name, message }: BerthError): EarlyEnd {
	return { outcome: "cancelled", code: "cancelled", phases: { queueMs, startMs: 0, initMs: 0, runMs: 0 }, error: { name, message } };
}

/** It was cancelled while a sandbox was made ready: nothing of it ran. */
export function cancelledBefore(delivery: Delivery, { startMs, initMs }: Lease): EarlyEnd {
	const phases = { queueMs: delivery.queueMs, startMs, initMs, runMs: 0 };
	return { outcome: "cancelled", code: "cancelled", phases, error: cancellation(delivery, "before it began") };
}

/** What a handler throws that our agents have told of the cancellation, and that says no more. */
const HEEDED = "the invocation was cancelled";

/** Who ended it. @param when as in "while it ran" */
export function cancellation({ lane, cancelled }: Delivery, when: string): FunctionError {
	// What breaks off a streamed answer is heard before the reason is.
	const otherwise = lane === "background" ? CANCEL_WORDS.asked : CANCEL_WORDS.left;
	const why = Object.values(CANCEL_WORDS).find((words) => words === cancelled.reason?.message) ?? otherwise;
	return { name: "BerthError", message: `${why} ${when}` };
}

/** What it threw for being cancelled: its own words, or ours with the reason. */
export function heeded(delivery: Delivery, error: FunctionError | undefined): FunctionError | undefined {
	return error?.message === HEEDED ? { ...error, message: cancellation(delivery, "while it ran").message } : error;
}
