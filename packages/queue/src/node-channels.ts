import type { NodeAnswer, NodeInfo, NodeQuestion } from "./ports.js";

/** A lease on being listed, milliseconds, and how often it is renewed. */
export const NODE_LEASE_MS = 10_000;
export const NODE_RENEWAL_MS = 3000;

/** Said to every directory. */
export type NodeNews =
	| { readonly kind: "joined"; readonly node: NodeInfo }
	| { readonly kind: "draining"; readonly id: string }
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
