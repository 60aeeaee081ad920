import { BACKGROUND_INLINE_BYTES, type BodyReference, type InvocationRequest, newId, type Version } from "@berth/contracts";
import { sharedNow } from "@berth/queue";
import { type Accepting, acceptedOf } from "../accepted.js";
import { followUpsOf } from "../follow-ups/asked.js";
import type { Services } from "../services.js";
import { retryOf } from "./asked.js";

/** What becomes an invocation in the background. */
export interface Enqueuing extends Accepting {
	/** Its payload; or what has it put among the `queued`, for the invocation of that id. */
	readonly body: Uint8Array | ((id: string) => Promise<BodyReference>);
	/** Where the settlement is posted, instead of where the manifest says. */
	readonly callback?: string | undefined;
	/** Not before then. */
	readonly runAtMs?: number;
	readonly replayOf?: string;
}

/**
 * The one way into the background, whoever asks: what its version says of retries and of what follows its settlement goes with it.
 * It is on disk when this resolves; the same id twice is one invocation. Should this reject in doubt, what may be there is taken back; who
 * brings an id may ask for it again, and so it is left, with its body. A body among the queued goes when it is certain that nothing is accepted,
 * or was before, with another one; what stays in doubt is looked for later (`sweepLeftBodies`).
 * @throws BerthError `unavailable`, `queue_full`, `storage_full`
 */
export async function enqueue(version: Version, asked: Enqueuing, services: Services): Promise<InvocationRequest> {
	const { invocations, artifacts, spans, log } = services;
	const { callback, runAtMs, replayOf } = asked;
	const { queued } = artifacts;
	const acceptedAtMs = asked.acceptedAtMs ?? sharedNow();
	const id = asked.id ?? newId("inv", acceptedAtMs);
	const body =
		asked.body instanceof Uint8Array ? await queued.putBody(asked.body, "durable", BACKGROUND_INLINE_BYTES, id) : await asked.body(id);
	const invocation: InvocationRequest = {
		...acceptedOf(version, { ...asked, id, acceptedAtMs }, body, services),
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
