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
}

/**
 * The one way into the background, whoever asks: what its version says of retries and of what follows its settlement goes with it.
 * It is on disk when this resolves; the same id twice is one invocation. Should this reject in doubt, what may be there is taken back; who
 * brings an id may ask for it again, and so it is left, with its body. A body among the queued goes when it is certain that nothing is accepted.
 * @throws BerthError `unavailable`, `queue_full`, `storage_full`
 */
export async function enqueue(version: Version, asked: Enqueuing, services: Services): Promise<InvocationRequest> {
	const { invocations, artifacts, spans, log } = services;
	const { callback, runAtMs, replayOf } = asked;
	const { queued } = artifacts;
	const body = asked.body instanceof Uint8Array ? await queued.putBody(asked.body, "durable", BACKGROUND_INLINE_BYTES) : asked.body;
	const invocation: InvocationRequest = {
		...acceptedOf(version, asked, body, services),
		...retryOf(version),
		...followUpsOf(version, callback),
		...(runAtMs === undefined ? {} : { runAtMs }),
		...(replayOf === undefined ? {} : { replayOf }),
	};
	// What is told is why it was refused; a body that stays is swept.
	const removeBody = () =>
		queued.removeBody(body).catch((err: unknown) => log.warn({ err, invocation: invocation.id }, "the body of what was refused stays"));
	await invocations.enqueue(invocation, asked.id === undefined ? "take back" : "leave", removeBody);
	spans.ended(invocation, "queued");
	return invocation;
}
