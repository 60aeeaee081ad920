import type { AnswerHead, FunctionError, LimitHit, Outcome, Streamed, Usage } from "@berth/contracts";
import type { Log } from "./log-reader.js";

/** How an attempt ended inside the sandbox. */
export interface SandboxResult {
	readonly outcome: Outcome;
	readonly runMs: number;
	readonly answer?: { readonly head: Omit<AnswerHead, "runMs">; readonly body: Uint8Array };
	/** When the answer was streamed; then `answer` is absent. */
	readonly streamed?: Streamed;
	readonly error?: FunctionError;
	readonly usage: Usage;
	readonly limitsHit: readonly LimitHit[];
	readonly log: Log;
	/** What was printed after the answer, when all that was given to `waitUntil` is over; absent when nothing was. */
	readonly after?: Promise<Log>;
	/** Whether the sandbox may serve another invocation. */
	readonly healthy: boolean;
}
