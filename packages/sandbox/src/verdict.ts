import { FROM_AGENT, type FunctionError, headerBytesOf, type InvokeHead } from "@berth/contracts";
import { answerIn, failureIn } from "./agent-words.js";
import type { CauseOfDeath } from "./cause-of-death.js";
import type { Reply } from "./conversation.js";
import type { Log } from "./log-reader.js";
import type { SandboxResult } from "./sandbox-result.js";
import { SpecialiseError } from "./specialise-error.js";

/** What an agent's answer or failure comes to. */
export interface Verdict extends Pick<SandboxResult, "outcome" | "answer" | "error"> {
	/** Whether it was a word about the attempt in hand, within its bounds: else the sandbox has broken the protocol. */
	readonly holds: boolean;
}

/** A frame of the agent's. */
type Frame = Extract<Reply, { readonly frame: unknown }>["frame"];

/** An answer is the tenant's word: it counts only for the attempt in hand. */
export function verdictOn({ type, head, body }: Frame, asked: InvokeHead, streamed = false): Verdict {
	if (type === FROM_AGENT.answer) {
		const answer = answerIn(head);
		if (answer === undefined) return wrongAnswer("an answer that isn't one");
		if (answer.id !== asked.id || answer.attempt !== asked.attempt) return wrongAnswer("the answer of another invocation than its own");
		if (body.byteLength > asked.maxBodyBytes) return wrongAnswer("an answer that is larger than it may be");
		if (headerBytesOf(answer) > asked.maxHeaderBytes) return wrongAnswer("an answer whose headers are larger than they may be");
		if (streamed) return body.byteLength === 0 ? { outcome: "succeeded", holds: true } : wrongAnswer("an answer to one that was streamed");
		return { outcome: "succeeded", answer: { head: answer, body }, holds: true };
	}
	const failure = failureIn(head);
	if (failure === undefined || failure.id !== asked.id) return wrongAnswer("the failure of another invocation than its own");
	return { outcome: failure.phase === "too_large" ? "response_too_large" : "handler_error", error: failure.error, holds: true };
}

/** Why a module didn't load. @param shown what of an error of its own may be shown @param reply what its agent said; undefined when it said nothing in time @param death how its sandbox ended, if it did */
export function initFailureOf(
	sandbox: string,
	reply: Reply | undefined,
	death: CauseOfDeath | undefined,
	log: Log,
	startMs: number,
	shown: (error: FunctionError) => FunctionError,
): SpecialiseError {
	if (reply === undefined) {
		const message = `the module didn't finish loading within the start budget of ${startMs} ms`;
		return new SpecialiseError("init_error", { name: "TimeoutError", message }, log);
	}
	if (death?.outcome === "out_of_memory") return new SpecialiseError("out_of_memory", death.error, log);
	if (death !== undefined) {
		return new SpecialiseError("init_error", { ...death.error, message: `while the module was loaded: ${death.error.message}` }, log);
	}
	const failure = "frame" in reply ? failureIn(reply.frame.head) : undefined;
	if (failure === undefined) return new SpecialiseError("init_error", protocolError("it failed without saying how"), log);
	if (failure.phase !== "graft") return new SpecialiseError("init_error", shown(failure.error), log);
	const message = `${sandbox}: the graft didn't arrive: ${failure.error.message}`;
	return new SpecialiseError("platform_error", { name: "Error", message }, log);
}

/** What an attempt is told whose time was over. @param streamed whether a part of its answer had come */
export function timeoutError(timeoutMs: number, streamed: boolean): FunctionError {
	const lack = streamed
		? `its answer wasn't whole after ${timeoutMs} ms, and it was killed`
		: `it didn't answer within ${timeoutMs} ms and was killed`;
	return { name: "TimeoutError", message: lack };
}

function wrongAnswer(what: string): Verdict {
	return { outcome: "crashed", error: protocolError(`the sandbox gave ${what}`), holds: false };
}

function protocolError(message: string): FunctionError {
	return { name: "ProtocolError", message };
}
