import {
	BerthError,
	ERRORS,
	type ErrorCode,
	FIXED_LIMITS,
	type FunctionError,
	HEADERS,
	type InvocationResult,
	type Problem,
	problemOf,
	type Settlement,
	type StreamHead,
} from "@berth/contracts";
import type { PayloadStore } from "@berth/registry";
import type { Response } from "express";
import { hasContent, writeAnswerHeaders } from "./answer-headers.js";
import { isKept } from "./idempotency/idempotency.js";
import { sendProblem } from "./problems.js";
import { addTiming, phasesTiming } from "./server-timing.js";

/** What an answer is made of. */
export interface Answered {
	/** The invocation's id. */
	readonly id: string;
	readonly version: number;
	readonly settlement: Settlement;
	/** Whether who asked may see the function's own errors. */
	readonly trusted: boolean;
}

/** Answers a request with what became of its invocation, and frees what that has in the payload store. */
export async function answer(response: Response, { id, version, settlement, trusted }: Answered, payloads: PayloadStore): Promise<void> {
	const { attempt, result } = settlement;
	try {
		if (response.closed && !isKept(response)) return;
		response.setHeader(HEADERS.invocationId, id);
		// Without it an Idempotency-Key stays with its request (idempotency.ts): who waits as told and asks again is to be served.
		if (!neverBegan(attempt)) response.setHeader(HEADERS.version, version);
		if (!isRefused(attempt)) response.setHeader(HEADERS.outcome, attempt.outcome);
		addTiming(response, phasesTiming(attempt.phases, attempt.start));
		if (result === undefined) sendProblem(response, failureOf(id, attempt, trusted));
		else writeResult(response, id, result, await payloads.getBody(result.body));
	} finally {
		if (result !== undefined) await payloads.removeBody(result.body);
	}
}

/** That an answer is of this invocation, which may have begun, whatever else it says: a request with a key isn't served again then. */
export function sayInvoked(response: Response, { id, version }: Pick<Answered, "id" | "version">): void {
	response.setHeader(HEADERS.invocationId, id);
	response.setHeader(HEADERS.version, version);
}

/** The head of an answer that is streamed: what its outcome is, a trailer says. */
export function writeStreamHead(response: Response, { id, version }: Pick<Answered, "id" | "version">, head: StreamHead): void {
	// First: what can't be answered has none of the others.
	writeHead(response, id, head, 200);
	sayInvoked(response, { id, version });
	addTiming(response, phasesTiming(head.phases, head.start));
}

function writeHead(response: Response, id: string, { contentType, response: head }: Omit<InvocationResult, "body">, status: number): void {
	if (head === undefined) {
		response.statusCode = status;
		if (contentType !== undefined) writeAnswerHeaders(response, [["content-type", contentType]]);
	} else {
		response.statusCode = checkedStatus(id, head.status);
		writeAnswerHeaders(response, head.headers);
	}
}

function writeResult(response: Response, id: string, result: InvocationResult, body: Buffer): void {
	writeHead(response, id, result, body.length === 0 ? 204 : 200);
	// Node says the length of what it sends, and of a HEAD's body it sends nothing.
	if (body.length > 0 && response.req.method === "HEAD" && hasContent(response.statusCode))
		response.setHeader("content-length", body.length);
	response.end(hasContent(response.statusCode) ? body : undefined);
}

/** A final status that HTTP has: 1xx would leave the caller waiting. @throws BerthError handler_error */
function checkedStatus(id: string, status: number): number {
	if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
	const detail = `The function answered with the status ${JSON.stringify(status)}, which is none from 200 to 599.`;
	throw new BerthError("handler_error", detail, { extra: { invocation: id } });
}

/** A body that its handler, once it was known, can't be given: nothing was tried, so there is no outcome to tell. */
function isRefused({ code }: Settlement["attempt"]): boolean {
	return code === "body_too_large";
}

/** Nothing of the function ran: to ask again later is what its caller is told. */
function neverBegan({ code }: Settlement["attempt"]): boolean {
	return code === "function_failing" || code === "start_timed_out";
}

/** What its caller is told of an attempt that failed. */
export function failureCodeOf({ code }: Pick<Settlement["attempt"], "code">): ErrorCode {
	return code !== undefined && code in ERRORS ? (code as ErrorCode) : "platform_error";
}

/** A failed attempt as a problem. The stack is for those who hold a key. */
function failureOf(id: string, attempt: Settlement["attempt"], trusted: boolean): Problem {
	const code = failureCodeOf(attempt);
	const { error } = attempt;
	const shown = error !== undefined && (trusted || ERRORS[code].fault !== "function");
	const described = shown ? detailOf(error) : ERRORS[code].title;
	const detail = code === "cancelled" ? cancelledDetail(shown ? error : undefined) : described;
	const { crashLoop } = attempt;
	const told = { instance: `/v1/invocations/${id}`, invocation: id };
	if (crashLoop !== undefined) {
		const { retryAfterMs } = crashLoop;
		return problemOf(code, trusted ? described : ERRORS[code].title, [], { ...told, retryAfterMs, ...(trusted ? { crashLoop } : {}) });
	}
	if (isRefused(attempt)) return problemOf(code, detail, [], { ...told, limitBytes: FIXED_LIMITS.bodyBytes });
	return problemOf(code, detail, [], {
		...told,
		outcome: attempt.outcome,
		limitsHit: attempt.limitsHit,
		...(trusted && error !== undefined ? { error } : {}),
	});
}

/** Its caller is there still: somebody else has cancelled it by its id. */
function cancelledDetail(error: FunctionError | undefined): string {
	const how = "cancelled by request";
	if (error === undefined) return how;
	return error.message.startsWith(how) ? error.message : `${how}; it ended with ${detailOf(error)}`;
}

/** What kind of error one of ours is, its code says. */
function detailOf({ name, message }: FunctionError): string {
	return name === BerthError.name ? message : `${name}: ${message}`;
}
