import { ERRORS, type Problem } from "@berth/contracts";

/** The API answered, and the answer is a problem (RFC 9457). */
export class ApiError extends Error {
	override readonly name = "ApiError";
	readonly problem: Problem;
	/** The invocation it is about, when the answer names one. */
	readonly invocationId: string | undefined;

	constructor(problem: Problem, invocationId?: string) {
		super(problem.detail);
		this.problem = problem;
		this.invocationId = invocationId;
	}

	get status(): number {
		return this.problem.status;
	}
}

/** No answer came: nothing listens there, or the connection broke. What was asked may have been done. */
export class ConnectionError extends Error {
	override readonly name = "ConnectionError";
	/** The base URL that was asked. */
	readonly url: string;

	constructor(url: string, cause: unknown) {
		super(`${url} doesn't answer: ${reasonOf(cause)}`, { cause });
		this.url = url;
	}
}

/** An answer that was streamed and broke off: its function failed in the middle of it, or somebody on the way did. */
export class CutError extends Error {
	override readonly name = "CutError";
	/** The invocation, whose record says why. */
	readonly invocationId: string;

	constructor(invocationId: string, cause: unknown) {
		super(`the answer broke off; the record of ${invocationId} says why`, { cause });
		this.invocationId = invocationId;
	}
}

/** Whether the same request may well be answered a little later: by a gateway that is only starting, say. */
export function isPassing(error: unknown): boolean {
	return error instanceof ConnectionError || (error instanceof ApiError && error.problem.retryable);
}

/** undici wraps several failed addresses (::1, 127.0.0.1) into one error without a message. */
function reasonOf(cause: unknown): string {
	if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join("; ");
	return cause instanceof Error ? cause.message : String(cause);
}

/** Whether a value looks like one of our problems. */
export function isProblem(value: unknown): value is Problem {
	if (typeof value !== "object" || value === null) return false;
	const { code, detail, status } = value as Partial<Problem>;
	return typeof code === "string" && code in ERRORS && typeof detail === "string" && typeof status === "number";
}
