import { type AcceptedInvocation, HEADERS, OUTCOMES, type Outcome, type Problem } from "@berth/contracts";
import { ApiError } from "./errors.js";
import { isStreamed, problemIn, type RawAnswer, type Transport } from "./transport.js";

/** What a function is invoked with. An object, array, number, boolean or null is sent as JSON. */
export type Payload = { readonly json: unknown } | { readonly bytes: Uint8Array | string; readonly contentType: string };

export interface InvokeOptions {
	/** Tells a repetition: it gets the answer of the first request with the same key, and nothing runs twice. */
	readonly idempotencyKey?: string;
	/** In the background: where the settlement is posted. */
	readonly callbackUrl?: string;
	/** In the background: not before then; a time that is past means now, at most 30 days ahead. */
	readonly runAt?: Date;
	/** A deadline shorter than the function's timeout, milliseconds. */
	readonly timeoutMs?: number;
	readonly signal?: AbortSignal;
	/** Told of each piece of a streamed answer as it comes, and waited for: the answer's `raw.body` is empty then. */
	readonly onPiece?: (piece: Uint8Array) => void | Promise<void>;
}

/** How an invocation ended. A function's failure is in here; it is no exception. */
export interface InvokeAnswer {
	readonly id: string;
	readonly outcome: Outcome;
	/** Present unless it succeeded. */
	readonly problem?: Problem;
	/** The answer as it came: status, headers (`server-timing`), body, timing. */
	readonly raw: RawAnswer;
}

/** A request to a function's own URL. */
export interface FunctionRequest {
	/** Default GET. */
	readonly method?: string;
	/** Path and query below the function's own; default `/`. */
	readonly path?: string;
	readonly headers?: Readonly<Record<string, string>>;
	/** What is iterated goes as it comes; above 6 MiB its function gets it so, too. */
	readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
	readonly signal?: AbortSignal;
	/** As for an invocation by name. */
	readonly onPiece?: InvokeOptions["onPiece"];
}

/** The value a successful invocation gave: parsed when it is JSON, else text. */
export function resultOf(answer: InvokeAnswer): unknown {
	const text = answer.raw.body.toString("utf8");
	return /[/+]json\b/.test(headerOf(answer.raw, "content-type") ?? "") && text !== "" ? JSON.parse(text) : text;
}

/** Invocations: of a function by name, and over its own URL. */
export function invocationsOf(transport: Transport) {
	const send = (name: string, payload: Payload | undefined, options: InvokeOptions, headers: Readonly<Record<string, string>>) =>
		transport.raw({
			method: "POST",
			path: `/v1/functions/${encodeURIComponent(name)}/invocations`,
			headers: {
				...(payload === undefined ? {} : { "content-type": "json" in payload ? "application/json" : payload.contentType }),
				...(options.timeoutMs === undefined ? {} : { [HEADERS.timeoutMs]: String(options.timeoutMs) }),
				...(options.idempotencyKey === undefined ? {} : { [HEADERS.idempotencyKey]: options.idempotencyKey }),
				...(options.callbackUrl === undefined ? {} : { [HEADERS.callbackUrl]: options.callbackUrl }),
				...(options.runAt === undefined ? {} : { [HEADERS.runAt]: options.runAt.toISOString() }),
				...headers,
			},
			...(payload === undefined ? {} : { body: "json" in payload ? JSON.stringify(payload.json) : payload.bytes }),
			signal: options.signal,
			onPiece: options.onPiece,
		});

	return {
		/**
		 * Invokes and waits. `name@alias` and `name@3` mean another version than the live one, here and below. An invocation that began and failed is a value with its `problem`.
		 * @throws ApiError when nothing was run (unknown function, too busy, …), ConnectionError, CutError when it failed after its answer had begun
		 */
		async invoke(name: string, payload?: Payload, options: InvokeOptions = {}): Promise<InvokeAnswer> {
			return invokeAnswerOf(await send(name, payload, options, {}));
		},

		/** Invokes and gives the answer as it came, whatever it is. @throws ConnectionError */
		invokeRaw: (name: string, payload?: Payload, options: InvokeOptions = {}): Promise<RawAnswer> => send(name, payload, options, {}),

		/** Puts the invocation on the background lane. Once this resolves, it is stored. @throws ApiError, ConnectionError */
		async invokeAsync(name: string, payload?: Payload, options: InvokeOptions = {}): Promise<AcceptedInvocation> {
			const raw = await send(name, payload, options, { prefer: "respond-async" });
			if (raw.status >= 400) throw new ApiError(problemIn(raw), headerOf(raw, HEADERS.invocationId));
			return JSON.parse(raw.body.toString("utf8")) as AcceptedInvocation;
		},

		/** Sends a request to a function's own URL and gives its answer as it came. @throws ConnectionError */
		request(project: string, name: string, request: FunctionRequest = {}): Promise<RawAnswer> {
			const path = request.path ?? "/";
			return transport.raw({
				method: request.method ?? "GET",
				path: `/fn/${encodeURIComponent(project)}/${encodeURIComponent(name)}${path.startsWith("/") ? path : `/${path}`}`,
				...(request.headers === undefined ? {} : { headers: request.headers }),
				...(request.body === undefined ? {} : { body: request.body }),
				signal: request.signal,
				onPiece: request.onPiece,
			});
		},
	};
}

/** An answer that names an outcome is an invocation's; one that doesn't is a refusal. */
function invokeAnswerOf(raw: RawAnswer): InvokeAnswer {
	const id = headerOf(raw, HEADERS.invocationId);
	const said = headerOf(raw, HEADERS.outcome) ?? headerOf({ headers: raw.trailers }, HEADERS.outcome);
	// What is streamed and fails breaks off: it is whole, whether its trailer got here or not.
	const outcome = OUTCOMES.find((candidate) => candidate === said) ?? (isStreamed(raw.headers) ? "succeeded" : undefined);
	if (id === undefined || outcome === undefined) {
		throw new ApiError(problemIn(raw), id);
	}
	return outcome === "succeeded" ? { id, outcome, raw } : { id, outcome, problem: problemIn(raw), raw };
}

function headerOf(answer: Pick<RawAnswer, "headers">, name: string): string | undefined {
	const value = answer.headers[name];
	return typeof value === "string" ? value : value?.[0];
}
