import { FIXED_LIMITS, type InvocationRequest } from "@berth/contracts";
import { type Delivery, sharedNow } from "@berth/queue";
import { type Lease, ranOf, type SandboxResult } from "@berth/sandbox";
import type { Invokes } from "./invokes.js";
import type { AttemptStreams } from "./streams/attempt-streams.js";
import { tracedTrigger } from "./traced-trigger.js";

/** Runs it, and gives the sandbox back. A lost lock kills it at once; a caller who went away gives it its signal and a grace. */
export async function invokeIn(
	lease: Lease,
	{ request, attempt, lost, cancelled }: Delivery,
	body: Uint8Array,
	invokes: Invokes,
	streams: AttemptStreams | undefined,
): Promise<SandboxResult> {
	const { sandbox } = lease;
	const timeoutMs = timeLeftOf(request);
	const asks = invokes.begin(request, sharedNow() + timeoutMs);
	sandbox.invocation = request.id;
	sandbox.depth = request.depth ?? 0;
	// A kill that fails has its sandbox retired with the rest: the engine's loss ends this process.
	const onLost = () => void sandbox.kill().catch(() => undefined);
	const onCancelled = () => {
		sandbox.cancel(request.id);
		asks.cancel();
		lease.abandon();
	};
	lost.addEventListener("abort", onLost, { once: true });
	cancelled.addEventListener("abort", onCancelled, { once: true });
	if (streams !== undefined) streams.answer.onGone = onCancelled;
	let result: SandboxResult | undefined;
	try {
		const { id } = request;
		const { bodyBytes: maxBodyBytes, responseHeaderBytes: maxHeaderBytes } = FIXED_LIMITS;
		const head = { id, attempt, timeoutMs, ...tracedTrigger(request), maxBodyBytes, maxHeaderBytes };
		result =
			streams === undefined
				? await sandbox.invoke(head, body, asks.respond)
				: await sandbox.invoke(
						{ ...head, stream: { maxBytes: streams.maxBytes }, ...(streams.body === undefined ? {} : { streamsBody: true as const }) },
						body,
						asks.respond,
						streams,
					);
		return result;
	} finally {
		lost.removeEventListener("abort", onLost);
		cancelled.removeEventListener("abort", onCancelled);
		if (streams !== undefined) streams.answer.onGone = () => undefined;
		// How it went nobody will say: what has begun of its answer is cut off.
		if (result === undefined) streams?.end(false);
		asks.end();
		lease.release(result?.healthy ?? false, result && ranOf(result, request.id, lost.aborted));
	}
}

/** How long it may run, milliseconds: whom another invocation waits for is over with that one. */
function timeLeftOf({ timeoutMs, depth = 0, expiresAtMs = Number.POSITIVE_INFINITY }: InvocationRequest): number {
	return depth === 0 ? timeoutMs : Math.max(1, Math.min(timeoutMs, expiresAtMs - sharedNow()));
}
