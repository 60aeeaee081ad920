import type { NodeAnswer, NodeInfo, NodeQuestion } from "./node-ports.js";

/** A lease on being listed, milliseconds, and how often it is renewed. */
export const NODE_LEASE_MS = 10_000;
export const NODE_RENEWAL_MS = 3000;
/** How long a node whose worker is started again is expected to be back, milliseconds: what is placed on it meanwhile waits in its queue. */
export const NODE_RETURN_MS = 30_000;

/** How long it is known that a node was drained which is gone, milliseconds. */
export const DRAINED_KEPT_MS = 30 * 24 * 60 * 60 * 1000;

/**
 * What gateways and workers say to each other through Redis: jobs, settlements, questions and answers. One more when a worker of the version
 * before couldn't do what a gateway asks of it; fields that may be missing, or ignored, change nothing. Workers say theirs in their lease,
 * and a gateway places on those alone whose number it knows: the last two, so that machines can be brought to a new version one after another.
 */
export const QUEUE_PROTOCOL = 1;
export const PROTOCOLS_KNOWN: readonly number[] = [1];

/** Said to every directory. */
export type NodeNews =
	| { readonly kind: "joined"; readonly node: NodeInfo }
	| { readonly kind: "draining"; readonly id: string }
	/** What it had taken and not begun is anybody's. */
	| { readonly kind: "returned"; readonly id: string; readonly incarnation: string }
	| { readonly kind: "left"; readonly id: string; readonly incarnation: string };

/** A question on a node's channel, and its answer on the asker's. */
export interface Asked {
	readonly id: string;
	readonly answerTo: string;
	readonly question: NodeQuestion;
}
export interface Answered {
	readonly id: string;
	readonly answer: NodeAnswer;
}
