import type { FunctionError } from "@berth/contracts";
import { type Log, NO_LOG } from "./log-reader.js";

/** A specialisation that failed: by the function's fault (a value of the attempt) or by ours. */
export class SpecialiseError extends Error {
	override readonly name = "SpecialiseError";
	readonly outcome: "init_error" | "out_of_memory" | "platform_error";
	readonly error: FunctionError;
	readonly log: Log;

	constructor(outcome: SpecialiseError["outcome"], error: FunctionError, log: Log = NO_LOG) {
		super(error.message);
		this.outcome = outcome;
		this.error = error;
		this.log = log;
	}
}
