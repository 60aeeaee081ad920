import { IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_RULE } from "@berth/contracts/agent";

/** How another function is invoked. */
export interface InvokeOptions {
	/** In the background: the answer comes when it is on disk, and has the id alone. */
	readonly async?: boolean;
	/** A shorter deadline than the function's own, milliseconds; a longer one counts as that. It never is later than this invocation's. */
	readonly timeoutMs?: number;
	/** Of a payload that is bytes or text already; everything else is JSON. */
	readonly contentType?: string;
	/** What this function asks with it again, in whichever of its invocations, is the invocation that it was the first time. */
	readonly idempotencyKey?: string;
	/** Ends the wait, and what is waited for, unless it is asked under an `idempotencyKey`: then it goes on, as its answer is wanted later. */
	readonly signal?: AbortSignal;
}

/** As a request's own deadline. */
const LEAST_TIMEOUT_MS = 10;
/** What a worker takes: a sandbox that asks otherwise is destroyed. */
const CONTENT_TYPE = /^[\x20-\x7e]{1,256}$/;
const KNOWN: ReadonlySet<string> = new Set<keyof InvokeOptions>(["async", "timeoutMs", "contentType", "idempotencyKey", "signal"]);

/** What a handler says of how it invokes, as it may go to the worker. @throws TypeError, RangeError */
export function checkedOptions(given: unknown): InvokeOptions {
	if (typeof given !== "object" || given === null || Array.isArray(given)) {
		throw new TypeError(`the third argument of invoke is an object of options, not ${told(given)}`);
	}
	const unknown = Object.keys(given).find((name) => !KNOWN.has(name));
	if (unknown !== undefined) throw new TypeError(`invoke has no option ${told(unknown)}; there are ${[...KNOWN].join(", ")}`);
	const { async, timeoutMs, contentType, idempotencyKey, signal } = given as Readonly<Record<keyof InvokeOptions, unknown>>;
	if (async !== undefined && typeof async !== "boolean") throw new TypeError(`async is ${told(async)}; true or false is wanted`);
	if (signal !== undefined && !(signal instanceof AbortSignal)) {
		throw new TypeError(`signal is ${told(signal)}; an AbortSignal is wanted`);
	}
	return {
		...(async === undefined ? {} : { async }),
		...(timeoutMs === undefined ? {} : { timeoutMs: checkedTimeout(timeoutMs) }),
		...(contentType === undefined ? {} : { contentType: checkedContentType(contentType) }),
		...(idempotencyKey === undefined ? {} : { idempotencyKey: checkedKey(idempotencyKey) }),
		...(signal === undefined ? {} : { signal }),
	};
}

/** Of any size: what the function's own timeout is, is known where it is invoked. */
function checkedTimeout(timeoutMs: unknown): number {
	if (typeof timeoutMs === "number" && Number.isInteger(timeoutMs) && timeoutMs >= LEAST_TIMEOUT_MS) {
		return Math.min(timeoutMs, Number.MAX_SAFE_INTEGER);
	}
	throw new RangeError(`timeoutMs is ${told(timeoutMs)}; a whole number of milliseconds, at least ${LEAST_TIMEOUT_MS}, is wanted`);
}

function checkedContentType(contentType: unknown): string {
	if (typeof contentType !== "string") throw new TypeError(`contentType is ${told(contentType)}; a string is wanted`);
	if (CONTENT_TYPE.test(contentType)) return contentType;
	throw new RangeError(`contentType is ${told(contentType)}; 1 to 256 printable characters of ASCII are wanted`);
}

function checkedKey(key: unknown): string {
	if (typeof key !== "string") throw new TypeError(`idempotencyKey is ${told(key)}; a string is wanted`);
	if (IDEMPOTENCY_KEY.test(key)) return key;
	throw new RangeError(`idempotencyKey is ${told(key)}; ${IDEMPOTENCY_KEY_RULE} are wanted`);
}

/** A value as a message has it, of anything that a handler may give. */
function told(value: unknown): string {
	if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
	if (value === null || typeof value !== "object") return typeof value === "function" ? "a function" : String(value);
	return Array.isArray(value) ? "an array" : "an object";
}
