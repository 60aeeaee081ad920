import {
	FIXED_LIMITS,
	INVOKES_AT_ONCE,
	type InvokeFailure,
	type InvokeQuestion,
	type InvokeReply,
	type Outcome,
} from "@berth/contracts/agent";
import { checkedOptions, type InvokeOptions } from "./invoke-options.js";
import { JSON_TYPE, payloadOf } from "./payload.js";
import type { Answered, Questions } from "./questions.js";

const BYTES_TYPE = "application/octet-stream";
const ANSWERED: InvokeFailure = {
	code: "cancelled",
	status: 499,
	message: "the invocation that asks is answered already: await what it invokes before it answers",
	retryable: false,
};

/** What another function answered; of one in the background the id alone. */
export interface Invoked {
	readonly id: string;
	/** 200, or 204 for nothing; what a Response says. */
	readonly status?: number;
	/** Of a Response, lower-case names; several values of one name are joined by commas. */
	readonly headers?: Readonly<Record<string, string>>;
	/** JSON parsed, text as a string, anything else as bytes. */
	readonly result?: unknown;
}

/** What a handler fails with that doesn't catch one: each function that is passed through says its own name, and this once. */
const NESTED = /^InvocationError: /;

/** Another function couldn't be invoked, or failed; its message begins with that one's name, its stack is of the line that invoked. */
export class InvocationError extends Error {
	override readonly name = "InvocationError";
	/** Of the error catalogue: `handler_error`, `timed_out`, `function_not_found`, … */
	readonly code: string;
	/** Whether the same may succeed when it is asked again. */
	readonly retryable: boolean;
	/** How it ended, if it was accepted. */
	readonly outcome: Outcome | undefined;
	readonly invocationId: string | undefined;

	/** @param frames of whoever asked, as a stack has them */
	constructor(
		name: string,
		{ code, message, retryable, outcome }: InvokeFailure,
		invocationId: string | undefined,
		frames: string | undefined,
	) {
		super(`${name}: ${message.replace(NESTED, "")}`);
		if (frames !== undefined) this.stack = `${this.name}: ${this.message}${frames}`;
		this.code = code;
		this.retryable = retryable;
		this.outcome = outcome;
		this.invocationId = invocationId;
	}
}

/** `ctx.invoke` of one invocation. As many at a time as its worker takes; the others wait. */
export class Invokes {
	readonly #questions: Questions;
	readonly #background = new Set<Promise<unknown>>();
	readonly #waiting: (() => void)[] = [];
	#open = 0;
	#bytes = 0;
	#closed = false;

	constructor(questions: Questions) {
		this.#questions = questions;
	}

	/** @throws InvocationError; TypeError and RangeError for what isn't allowed; what `signal` aborts with */
	readonly invoke = async (name: string, payload?: unknown, given: InvokeOptions = {}): Promise<Invoked> => {
		// When there is an answer nobody knows any more which line asked.
		const caller: { readonly stack?: unknown } = {};
		Error.captureStackTrace(caller, this.invoke);
		const options = checkedOptions(given);
		const { body, contentType } = bodyOf(payload, options.contentType);
		const asked = questionOf(name, contentType, options);
		if (body.byteLength > FIXED_LIMITS.bodyBytes) {
			throw new RangeError(`the payload for ${asked.function} has ${body.byteLength} bytes, the limit is ${FIXED_LIMITS.bodyBytes}`);
		}
		const answer = this.ask(asked, body, options.signal).then((answered) => answerOf(answered, asked, caller));
		if (asked.async !== true) return await answer;
		const settled = answer.catch(() => undefined);
		this.#background.add(settled);
		void settled.then(() => this.#background.delete(settled));
		return await answer;
	};

	/** Resolves when what was begun in the background is on disk, also what nobody awaited; undefined when there is none. */
	settled(): Promise<unknown> | undefined {
		return this.#background.size === 0 ? undefined : Promise.all(this.#background);
	}

	/** The invocation is about to be answered: nothing can be asked in its name from now on. */
	close(): void {
		this.#closed = true;
	}

	/** The same as it goes over the wire: an `InvokeReply` and the result's body. */
	async ask(asked: InvokeQuestion, body: Uint8Array, signal: AbortSignal | undefined): Promise<Answered> {
		signal?.throwIfAborted();
		await this.#turn(asked, body.byteLength);
		const free = () => {
			this.#open--;
			this.#bytes -= body.byteLength;
			this.#admit();
		};
		try {
			this.#refuseWhenClosed(asked);
			signal?.throwIfAborted();
		} catch (error) {
			free();
			throw error;
		}
		const { number, answer } = this.#questions.asked(asked, body);
		// Open at the worker until it has answered, whoever has stopped waiting here.
		void answer.then(free);
		return signal === undefined ? await answer : await this.#unlessAborted(number, answer, signal);
	}

	async #unlessAborted(number: number, answer: Promise<Answered>, signal: AbortSignal): Promise<Answered> {
		const { promise: aborted, reject } = Promise.withResolvers<never>();
		const abandon = () => {
			if (!this.#closed) void this.#questions.ask({ kind: "abandon", of: number });
			reject(signal.reason);
		};
		signal.addEventListener("abort", abandon, { once: true });
		try {
			return await Promise.race([answer, aborted]);
		} finally {
			signal.removeEventListener("abort", abandon);
		}
	}

	/** In the order in which they came. */
	async #turn(asked: InvokeQuestion, bytes: number): Promise<void> {
		while (this.#open >= INVOKES_AT_ONCE.count || (this.#open > 0 && this.#bytes + bytes > INVOKES_AT_ONCE.bytes)) {
			this.#refuseWhenClosed(asked);
			await new Promise<void>((resolve) => this.#waiting.push(resolve));
		}
		this.#open++;
		this.#bytes += bytes;
	}

	#admit(): void {
		for (const resolve of this.#waiting.splice(0)) resolve();
	}

	#refuseWhenClosed(asked: InvokeQuestion): void {
		if (this.#closed) throw new InvocationError(asked.function, ANSWERED, undefined, undefined);
	}
}

/** @param options checked @throws TypeError */
export function questionOf(
	name: unknown,
	contentType: string | undefined,
	{ async = false, timeoutMs, idempotencyKey }: InvokeOptions,
): InvokeQuestion {
	if (typeof name !== "string" || name === "") throw new TypeError("the first argument of invoke is a function's name");
	return {
		kind: "invoke",
		function: name,
		...(async ? { async } : {}),
		...(timeoutMs === undefined ? {} : { timeoutMs }),
		...(contentType === undefined ? {} : { contentType }),
		...(idempotencyKey === undefined ? {} : { idempotencyKey }),
	};
}

function bodyOf(payload: unknown, contentType: string | undefined): { readonly body: Uint8Array; readonly contentType?: string } {
	const given = contentType === undefined ? {} : { contentType };
	if (payload === undefined) return { body: new Uint8Array(0), ...given };
	const bytes = payload instanceof ArrayBuffer ? new Uint8Array(payload) : payload;
	if (bytes instanceof Uint8Array) return { body: bytes, contentType: contentType ?? BYTES_TYPE };
	if (contentType !== undefined && typeof payload === "string") return { body: Buffer.from(payload), contentType };
	const text = JSON.stringify(payload);
	if (text === undefined) throw new TypeError(`a ${typeof payload} has no JSON form, which a payload needs`);
	return { body: Buffer.from(text), contentType: contentType ?? JSON_TYPE };
}

function answerOf({ head, body }: Answered, asked: InvokeQuestion, caller: { readonly stack?: unknown }): Invoked {
	const { id, response, failed } = head as InvokeReply;
	if (failed !== undefined) throw new InvocationError(asked.function, failed, id, framesOf(caller));
	if (asked.async === true || response === undefined) return { id: id as string };
	const headers: Record<string, string> = Object.create(null) as Record<string, string>;
	for (const [name, value] of response.headers) headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
	return { id: id as string, status: response.status, headers, result: payloadOf(body, headers["content-type"] ?? BYTES_TYPE) };
}

/** The function may have ideas of its own of what a stack is. */
function framesOf({ stack }: { readonly stack?: unknown }): string | undefined {
	const at = typeof stack === "string" ? stack.indexOf("\n    at ") : -1;
	return at < 0 ? undefined : (stack as string).slice(at);
}
