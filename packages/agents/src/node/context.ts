import type { HttpRequestHead, InvokeHead, ScheduleFiring, SpecialiseHead } from "@berth/contracts/agent";
import type { InvokeOptions } from "./invoke-options.js";
import type { Invoked, Invokes } from "./invokes.js";

/** The share of a timeout, and at most how long, between the abort signal and the kill. */
const ABORT_SHARE = 0.1;
const ABORT_MOST_MS = 500;

/** What a function learns about the invocation that it serves. */
export interface Context {
	readonly invocationId: string;
	/** From 1; higher when a background invocation is tried again. */
	readonly attempt: number;
	readonly function: { readonly project: string; readonly name: string; readonly version: number };
	/** When the sandbox is killed: milliseconds since the epoch. */
	readonly deadline: number;
	remainingMs(): number;
	/** Aborts shortly before the deadline, or when the caller cancels. */
	readonly signal: AbortSignal;
	readonly log: Logger;
	/** Invokes another function of the project: `stock`, `stock@canary` or `stock@3`. @throws InvocationError */
	invoke(name: string, payload?: unknown, options?: InvokeOptions): Promise<Invoked>;
	/** Keeps the sandbox awake after the answer until the promise settles or the deadline passes. */
	waitUntil(promise: Promise<unknown>): void;
	/** W3C Trace Context: what to send along to whoever is asked meanwhile. */
	readonly traceparent?: string;
	readonly tracestate?: string;
	/** The HTTP request, when it is one and the handler takes a payload. */
	readonly request?: HttpRequestHead;
	/** The schedule that it runs by, if it is one's. */
	readonly schedule?: ScheduleFiring;
}

/** One JSON object per line on stdout: level, message and fields. */
export interface Logger {
	debug(message: string, fields?: object): void;
	info(message: string, fields?: object): void;
	warn(message: string, fields?: object): void;
	error(message: string, fields?: object): void;
}

const write = (level: string) => (message: unknown, fields?: unknown) => {
	process.stdout.write(`${logLine(level, message, fields)}\n`);
};

/** A line for anything that may be given: errors with their stack, what isn't an object as `value`, what has no JSON form in words. It never throws. */
function logLine(level: string, message: unknown, fields: unknown): string {
	const shown = message instanceof Error ? { message: message.message, error: errorFields(message) } : { message };
	try {
		// Twice: first for its place, and last so that no field takes it.
		return JSON.stringify(Object.assign({ level, ...shown }, fieldsOf(fields), { level, ...shown }), (_, value: unknown) => {
			if (value instanceof Error) return errorFields(value);
			return typeof value === "bigint" ? String(value) : value;
		});
	} catch (error) {
		const why = error instanceof Error ? error.message : "what was thrown is no error";
		return JSON.stringify({ level, message: typeof message === "string" ? message : "", unloggable: why });
	}
}

function fieldsOf(fields: unknown): object {
	if (fields === undefined) return {};
	if (fields instanceof Error) return { error: fields };
	return typeof fields === "object" && fields !== null && !Array.isArray(fields) ? fields : { value: fields };
}

function errorFields({ name, message, stack }: Error): object {
	return { name, message, stack };
}
const LOGGER: Logger = Object.freeze({ debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") });

/** One invocation in the agent's hands: its context, and what keeps it open. */
export class Invocation {
	readonly head: InvokeHead;
	readonly context: Context;
	readonly #deadline: number;
	#abort: AbortController | undefined;
	#abortTimer: NodeJS.Timeout | undefined;
	/** Why it was cancelled, also for those who look later. */
	#cancelled: DOMException | undefined;
	#waiting: Promise<unknown>[] = [];

	constructor(head: InvokeHead, loaded: SpecialiseHead, invokes: Invokes) {
		this.head = head;
		this.#deadline = Date.now() + head.timeoutMs;
		const invocation = this;
		this.context = {
			invocationId: head.id,
			attempt: head.attempt,
			function: { project: loaded.project, name: loaded.function, version: loaded.version },
			deadline: this.#deadline,
			remainingMs: () => Math.max(0, this.#deadline - Date.now()),
			get signal() {
				return invocation.signal;
			},
			log: LOGGER,
			invoke: invokes.invoke,
			waitUntil: (promise) => {
				this.#waiting.push(promise);
			},
			...head.trace,
			...(head.trigger.kind === "http" ? { request: head.trigger.request } : {}),
			...(head.trigger.kind === "event" && head.trigger.schedule !== undefined ? { schedule: head.trigger.schedule } : {}),
		};
	}

	/** Made when it is asked for: most handlers never look. */
	get signal(): AbortSignal {
		if (this.#abort === undefined) {
			this.#abort = new AbortController();
			if (this.#cancelled !== undefined) this.#abort.abort(this.#cancelled);
			const early = Math.min(ABORT_MOST_MS, this.head.timeoutMs * ABORT_SHARE);
			const inMs = this.#deadline - early - Date.now();
			this.#abortTimer = setTimeout(() => this.cancel("the deadline is near"), Math.max(0, inMs));
			this.#abortTimer.unref();
		}
		return this.#abort.signal;
	}

	cancel(reason: string): void {
		this.#cancelled ??= new DOMException(reason, "AbortError");
		this.#abort?.abort(this.#cancelled);
	}

	get isWaiting(): boolean {
		return this.#waiting.length > 0;
	}

	/** Resolves when everything given to `waitUntil` has settled, also what was added meanwhile. */
	async settled(): Promise<void> {
		while (this.#waiting.length > 0) {
			const open = this.#waiting;
			this.#waiting = [];
			for (const result of await Promise.allSettled(open)) {
				if (result.status === "rejected") console.error("a promise given to waitUntil was rejected:", result.reason);
			}
		}
	}

	close(): void {
		clearTimeout(this.#abortTimer);
	}
}
