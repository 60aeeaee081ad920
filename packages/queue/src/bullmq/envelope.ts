import type { InvocationRequest } from "@berth/contracts";

/** A job of the interactive lane: invocations for one node that travel together. */
export interface InteractiveEnvelope {
	/** The reply channel of the gateway that waits for them. */
	readonly replyTo: string;
	readonly requests: readonly InvocationRequest[];
	/** Which start of the server it was sent to, as `startOf`. Absent: its gateway didn't say. */
	readonly sentTo?: string;
}

/**
 * Whether a server of this start may have lost what became of a job: it has the job of one before. It may have been begun then, and more than that: it may
 * be over, or placed elsewhere.
 */
export function isOfBefore({ sentTo }: { readonly sentTo?: string | undefined }, start: string | undefined): boolean {
	return sentTo !== undefined && sentTo !== start;
}
