import type { ErrorCode, InvocationRecord, InvocationRequest, Lane, Settlement } from "@berth/contracts";
import { BerthError, traceIdOf } from "@berth/contracts";
import { sharedNow } from "@berth/redis";

/** A settlement that the platform makes: nothing of the function's is in it. */
export function platformSettlement(from: {
	readonly node: string;
	readonly attempt: number;
	readonly code: ErrorCode;
	readonly message: string;
	readonly queueMs: number;
}): Settlement {
	return {
		attempt: {
			attempt: from.attempt,
			outcome: "platform_error",
			phases: { queueMs: from.queueMs, startMs: 0, initMs: 0, runMs: 0 },
			limitsHit: [],
			error: { name: "BerthError", message: from.message },
			code: from.code,
			node: from.node,
			finishedAtMs: sharedNow(),
		},
	};
}

/** The settlement of an invocation that was cancelled before it began. @param why in words */
export function cancelledSettlement(node: string, attempt: number, queueMs: number, why: string): Settlement {
	const message = `${why} before it began`;
	const { attempt: record } = platformSettlement({ node, attempt, code: "cancelled", message, queueMs });
	return { attempt: { ...record, outcome: "cancelled" } };
}

/** The settlement for a handler that rejected: a failure of the platform, under its own code if it has one. */
export function rejectedSettlement(node: string, attempt: number, queueMs: number, error: unknown): Settlement {
	const message = error instanceof Error ? error.message : String(error);
	const code = error instanceof BerthError ? error.code : "platform_error";
	return platformSettlement({ node, attempt, code, message, queueMs });
}

/** What of a record never changes. */
export function recordHead(
	request: InvocationRequest,
	lane: Lane,
): Pick<
	InvocationRecord,
	"id" | "project" | "function" | "version" | "lane" | "acceptedAtMs" | "source" | "replayOf" | "traceId" | "parent" | "depth" | "runAtMs"
> {
	const { id, project, version, acceptedAtMs, source, replayOf, parent, depth, runAtMs } = request;
	const traceId = traceIdOf(request.trace);
	return {
		id,
		project,
		function: request.function,
		version,
		lane,
		acceptedAtMs,
		...(source === undefined ? {} : { source }),
		...(replayOf === undefined ? {} : { replayOf }),
		...(traceId === undefined ? {} : { traceId }),
		...(parent === undefined ? {} : { parent }),
		...(depth === undefined ? {} : { depth }),
		...(runAtMs === undefined ? {} : { runAtMs }),
	};
}

/** Milliseconds since then by the time that gateway and worker share. */
export function elapsedMs(sinceMs: number): number {
	return Math.max(0, sharedNow() - sinceMs);
}

/** Codes that say how the platform failed before an outcome was known; `run` throws them. */
const THROWN = ["expired_in_queue", "worker_lost"] as const;

/** The error that a settlement stands for, if it is one that a waiting caller gets thrown. */
export function thrownBy({ attempt }: Settlement): BerthError | undefined {
	if (attempt.outcome !== "platform_error") return undefined;
	const code = THROWN.find((one) => one === attempt.code);
	return code && new BerthError(code, attempt.error?.message ?? code);
}
