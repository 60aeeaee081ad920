import { BACKGROUND_INLINE_BYTES, type BodyReference, type InvocationRequest, type Version } from "@berth/contracts";
import { type Accepting, acceptedOf } from "../accepted.js";
import { followUpsOf } from "../follow-ups/asked.js";
import type { Services } from "../services.js";
import { retryOf } from "./asked.js";

/** What becomes an invocation in the background. */
export interface Enqueuing extends Accepting {
	/** Its payload, or where that is already: in a reference, or among the `queued`. */
	readonly body: Uint8Array | BodyReference;
	/** Where the settlement is posted, instead of where the manifest says. */
	readonly callback?: string | undefined;
	/** Not before then. */
	readonly runAtMs?: number;
	readonly replayOf?: string;
	/** What happens to what may be on disk when this rejects. Default: `take back`; `leave` for who asks again with the same id. */
	readonly inDoubt?: "take back" | "leave";
}

/**
 * The one way into the background, whoever asks: what its version says of retries and of what follows its settlement goes with it.
 * It is on disk when this resolves; the same id twice is one invocation. A body that was put among the queued goes when it isn't accepted.
 * @throws BerthError `unavailable`, `queue_full`
 */
export async function enqueue(version: Version, asked: Enqueuing, services: Services): Promise<InvocationRequest> {
	const { invocations, artifacts, spans } = services;
	const { callback, runAtMs, replayOf, inDoubt = "take back" } = asked;
	const { queued } = artifacts;
	const body = asked.body instanceof Uint8Array ? await queued.putBody(asked.body, "durable", BACKGROUND_INLINE_BYTES) : asked.body;
	const invocation: InvocationRequest = {
		...acceptedOf(version, asked, body, services),
		...retryOf(version),
		...followUpsOf(version, callback),
		...(runAtMs === undefined ? {} : { runAtMs }),
		...(replayOf === undefined ? {} : { replayOf }),
	};
	try {
		await invocations.enqueue(invocation, inDoubt);
	} catch (error) {
		// What may have arrived needs it.
		if (inDoubt === "take back") await queued.removeBody(body);
		throw error;
	}
	spans.ended(invocation, "queued");
	return invocation;
}
