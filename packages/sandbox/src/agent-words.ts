import type { AnswerHead, FailedHead, FunctionError, HttpResponseHead } from "@berth/contracts";

/** What heads of frames may hold, checked by hand: they are read for every invocation, and are the tenant's word. */
type Fields = Readonly<Record<string, unknown>>;

const PHASES: ReadonlySet<unknown> = new Set(["graft", "init", "no_handler", "handler", "too_large"]);
const MOST_HEADERS = 256;
const NAME_CHARS = 256;
/** What is longer in an error is cut, characters. */
export const ERROR_CHARS = { message: 8192, stack: 32_768 } as const;

/** The invocation that a frame is about; undefined when it names none. */
export function invocationIn(head: unknown): string | undefined {
	return textIn(fieldsOf(head)["id"]);
}

/** The invocation that goes on after its answer or failure, since promises of `waitUntil` are open; undefined when none does. */
export function goesOnIn(head: unknown): string | undefined {
	const { id, waiting } = fieldsOf(head);
	return waiting === true ? textIn(id) : undefined;
}

/** The number of an agent's question; undefined when it has none. */
export function questionIn(head: unknown): number | undefined {
	const { question } = fieldsOf(head);
	return Number.isSafeInteger(question) ? (question as number) : undefined;
}

/** How long a module took to load, milliseconds, as its agent says. @param tookMs how long it took to say so: it can't be more */
export function initMsIn(head: unknown, tookMs: number): number {
	const value = fieldsOf(head)["initMs"];
	return typeof value === "number" && value > 0 ? Math.min(value, tookMs) : 0;
}

/** Whether a function's handler takes a request's body in pieces, as its agent says. */
export function streamsIn(head: unknown): boolean {
	return fieldsOf(head)["streams"] === true;
}

/** An answer's head; undefined when it isn't one. */
export function answerIn(head: unknown): Omit<AnswerHead, "runMs"> | undefined {
	const { id, attempt, contentType, response, waiting } = fieldsOf(head);
	if (typeof id !== "string" || typeof attempt !== "number") return undefined;
	if (contentType !== undefined && typeof contentType !== "string") return undefined;
	if (response !== undefined && !isResponse(response)) return undefined;
	return {
		id,
		attempt,
		waiting: waiting === true,
		...(contentType === undefined ? {} : { contentType }),
		...(response === undefined ? {} : { response: { status: response.status, headers: response.headers } }),
	};
}

/** A failure's head; undefined when it isn't one. What is too long in it is cut. */
export function failureIn(head: unknown): FailedHead | undefined {
	const { phase, error, id } = fieldsOf(head);
	if (!PHASES.has(phase)) return undefined;
	return {
		phase: phase as FailedHead["phase"],
		error: errorIn(error),
		...(typeof id === "string" ? { id } : {}),
	};
}

function errorIn(value: unknown): FunctionError {
	const { name, message, stack } = fieldsOf(value);
	const text = textIn(stack);
	return {
		name: textIn(name)?.slice(0, NAME_CHARS) ?? "Error",
		message: textIn(message)?.slice(0, ERROR_CHARS.message) ?? "the handler failed",
		...(text === undefined ? {} : { stack: text.slice(0, ERROR_CHARS.stack) }),
	};
}

function isResponse(value: unknown): value is HttpResponseHead {
	const { status, headers } = fieldsOf(value);
	if (typeof status !== "number" || !Number.isInteger(status) || status < 200 || status > 599) return false;
	return Array.isArray(headers) && headers.length <= MOST_HEADERS && headers.every(isPair);
}

function isPair(value: unknown): boolean {
	return Array.isArray(value) && value.length === 2 && typeof value[0] === "string" && typeof value[1] === "string";
}

function textIn(value: unknown): string | undefined {
	return typeof value === "string" ? value : undefined;
}

function fieldsOf(value: unknown): Fields {
	return typeof value === "object" && value !== null ? (value as Fields) : {};
}
