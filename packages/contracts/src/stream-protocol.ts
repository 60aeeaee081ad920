import type { AnswerHead } from "./agent-protocol.js";
import { KIB } from "./units.js";

/**
 * Bodies in pieces, either way between worker and agent. Who sends has so many chunks' credit and gets each back when it was
 * taken: so no more is in flight than these bytes, and a chunk costs the same however small it is. What is over is said by
 * `answer` or `failed`, or by a `body` frame with `end`; whoever sends more than its credit is destroyed.
 */
export const STREAM = {
	/** Chunks in flight, each way. */
	chunks: 8,
	/** The most bytes of one; none is empty. */
	chunkBytes: 32 * KIB,
} as const;

/** agent → worker: `streamed`: the answer begins. The body is its first chunk, or nothing. */
export type StreamedHead = Omit<AnswerHead, "runMs" | "waiting">;

/** agent → worker: `chunk`. The body is a piece of the answer. */
export interface ChunkHead {
	readonly id: string;
}

/** worker → agent: `credit`, and agent → worker: `taken`: so many chunks were taken. */
export interface CreditHead {
	readonly id: string;
	readonly chunks: number;
}

/** worker → agent: `body`: a piece of the request's body. */
export interface BodyHead {
	readonly id: string;
	/** Nothing follows, and this one has no body: it is whole, or it broke off. */
	readonly end?: "whole" | "broken";
}
