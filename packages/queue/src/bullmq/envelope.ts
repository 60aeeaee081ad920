import type { InvocationRequest } from "@berth/contracts";

/** A job of the interactive lane: invocations for one node that travel together. */
export interface InteractiveEnvelope {
	/** The reply channel of the gateway that waits for them. */
	readonly replyTo: string;
	readonly requests: readonly InvocationRequest[];
}
