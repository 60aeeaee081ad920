import { X509Certificate } from "node:crypto";
import { Readable } from "node:stream";
import { FIXED_LIMITS, HEADERS, LIMITS, MINUTE_MS, type Problem } from "@berth/contracts";
import { Pool } from "undici";
import { ApiError, ConnectionError, CutError, isProblem } from "./errors.js";
import { eventsIn, type ServerEvent } from "./event-stream.js";

/** When things happened to one request; milliseconds. */
export interface Timing {
	/** `performance.now()` as the request was handed over. */
	readonly startedAt: number;
	/** Until status and headers were there. */
	readonly headersMs: number;
	/** Until the last byte of the body was there. */
	readonly totalMs: number;
}

/** An answer as it came: nothing about it was judged. */
export interface RawAnswer {
	readonly status: number;
	/** Lower-case names. */
	readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
	readonly body: Buffer;
	/** What came after the body. */
	readonly trailers: RawAnswer["headers"];
	readonly timing: Timing;
}

/** One request and its answer, as `ClientOptions.trace` gets them. */
export interface Exchange {
	readonly method: string;
	readonly url: string;
	/** The answer's status; absent when none came. */
	readonly status?: number;
	readonly totalMs: number;
}

/** A request below the base URL. */
export interface Call {
	readonly method: string;
	/** Path and query, percent-encoded. */
	readonly path: string;
	readonly headers?: Readonly<Record<string, string>>;
	/** What is iterated goes as it comes. */
	readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
	readonly signal?: AbortSignal | undefined;
	/** Told of each piece of an answer that is streamed, as it comes, and waited for; `body` is empty then. What it throws ends the request, and is thrown. */
	readonly onPiece?: ((piece: Uint8Array) => void | Promise<void>) | undefined;
}

/** Whom a client believes to be its gateway. */
export interface TlsTrust {
	/** Certificates of issuers, in place of the system's; PEM. */
	readonly ca: string;
	/** Whether the first of them is the gateway's own: by whatever name it is called, it is the one. */
	readonly isOwn?: boolean;
}

export interface TransportOptions {
	readonly tls?: TlsTrust | undefined;
	readonly url: string;
	readonly key?: string | undefined;
	readonly project?: string | undefined;
	readonly connections?: number | undefined;
	readonly trace?: ((exchange: Exchange) => void) | undefined;
}

/** Longer than any answer may take: the longest timeout, a start, and some waiting. */
const ANSWER_MS = LIMITS.timeoutMs.max + FIXED_LIMITS.startMs + MINUTE_MS;

/** The HTTP connection pool of one client. */
export class Transport {
	readonly #pool: Pool;
	readonly #base: string;
	readonly #prefix: string;
	/** What every request has. */
	readonly #own: Readonly<Record<string, string>>;
	readonly #trace: ((exchange: Exchange) => void) | undefined;

	constructor(options: TransportOptions) {
		const base = new URL(options.url);
		this.#prefix = base.pathname.replace(/\/+$/, "");
		this.#base = `${base.origin}${this.#prefix}`;
		this.#own = {
			...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
			...(options.project === undefined ? {} : { [HEADERS.project]: options.project }),
		};
		this.#trace = options.trace;
		this.#pool = new Pool(base.origin, {
			connections: options.connections ?? null,
			pipelining: 1,
			...(options.tls === undefined ? {} : { connect: trusting(options.tls) }),
			headersTimeout: ANSWER_MS,
			bodyTimeout: ANSWER_MS,
		});
	}

	/** Where it leads, without a `/` at its end. */
	get base(): string {
		return this.#base;
	}

	/** Sends and gives back whatever the answer is. @throws ConnectionError; CutError when a streamed answer breaks off; the signal's reason when it aborts; what `onPiece` throws */
	async raw(call: Call): Promise<RawAnswer> {
		const startedAt = performance.now();
		let status: number | undefined;
		let streamed: string | undefined;
		let refusal: { readonly error: unknown } | undefined;
		const { onPiece } = call;
		const take = async (piece: Uint8Array) => {
			try {
				await onPiece?.(piece);
			} catch (error) {
				refusal = { error };
				throw error;
			}
		};
		try {
			const answer = await this.#pool.request({
				method: call.method,
				path: this.#prefix + call.path,
				headers: this.#headersOf(call),
				...(call.body === undefined ? {} : { body: bodyOf(call.body) }),
				...(call.signal === undefined ? {} : { signal: call.signal }),
			});
			status = answer.statusCode;
			const headersMs = performance.now() - startedAt;
			streamed = isStreamed(answer.headers) ? String(answer.headers[HEADERS.invocationId]) : undefined;
			const body = streamed !== undefined && onPiece !== undefined ? await pour(answer.body, take) : await answer.body.arrayBuffer();
			return {
				status,
				headers: answer.headers,
				body: Buffer.from(body),
				trailers: answer.trailers,
				timing: { startedAt, headersMs, totalMs: performance.now() - startedAt },
			};
		} catch (error) {
			if (refusal !== undefined) throw refusal.error;
			if (call.signal?.aborted) throw call.signal.reason;
			if (streamed !== undefined) throw new CutError(streamed, error);
			throw new ConnectionError(this.#base, error);
		} finally {
			this.#trace?.({
				method: call.method,
				url: this.#base + call.path,
				...(status === undefined ? {} : { status }),
				totalMs: performance.now() - startedAt,
			});
		}
	}

	#headersOf({ headers }: Call): Readonly<Record<string, string>> {
		return { ...this.#own, ...headers };
	}

	/** Sends and reads the JSON of the answer. @throws ApiError, ConnectionError */
	async json<T>(call: Call): Promise<T> {
		const answer = await this.raw(call);
		if (answer.status >= 400) throw new ApiError(problemIn(answer));
		return (answer.body.length === 0 ? undefined : JSON.parse(answer.body.toString("utf8"))) as T;
	}

	/** The events of an answer, as they come. @throws ApiError, ConnectionError; the signal's reason when it aborts */
	async *events(call: Call): AsyncGenerator<ServerEvent> {
		try {
			const answer = await this.#pool.request({
				method: call.method,
				path: this.#prefix + call.path,
				headers: this.#headersOf(call),
				...(call.signal === undefined ? {} : { signal: call.signal }),
			});
			const { statusCode: status } = answer;
			if (status >= 400) {
				const body = Buffer.from(await answer.body.arrayBuffer());
				throw new ApiError(problemIn({ status, body }));
			}
			for await (const event of eventsIn(answer.body)) {
				if (event.event === "problem") throw new ApiError(problemIn({ status, body: Buffer.from(event.data) }));
				yield event;
			}
		} catch (error) {
			if (call.signal?.aborted) throw call.signal.reason;
			if (error instanceof ApiError) throw error;
			throw new ConnectionError(this.#base, error);
		}
	}

	close(): Promise<void> {
		return this.#pool.destroy();
	}
}

function trusting({ ca, isOwn = false }: TlsTrust) {
	if (!isOwn) return { ca };
	const own = new X509Certificate(ca);
	const checkServerIdentity = (_name: string, { raw }: { readonly raw: Buffer }) =>
		raw.equals(own.raw) ? undefined : new Error("its certificate is another one than this stack was given");
	// A certificate that others have issued is trusted without them.
	return { ca, allowPartialTrustChain: true, checkServerIdentity };
}

function bodyOf(body: NonNullable<Call["body"]>): string | Uint8Array | Readable {
	return typeof body === "string" || body instanceof Uint8Array ? body : Readable.from(body, { objectMode: false });
}

/** A version's answer whose head says neither how it ended nor how long it is: without the trailer, too, when a proxy on the way has only HTTP/1.0. */
export function isStreamed(headers: RawAnswer["headers"]): boolean {
	return headers[HEADERS.version] !== undefined && headers[HEADERS.outcome] === undefined && headers["content-length"] === undefined;
}

async function pour(body: AsyncIterable<Uint8Array>, take: (piece: Uint8Array) => Promise<void>): Promise<ArrayBuffer> {
	for await (const piece of body) await take(piece);
	return new ArrayBuffer(0);
}

/** The problem an answer carries, or one made for what isn't ours (a proxy's error page, say). */
export function problemIn(answer: Pick<RawAnswer, "status" | "body">): Problem {
	const text = answer.body.toString("utf8");
	const parsed = parse(text);
	if (isProblem(parsed)) return parsed;
	return {
		type: "about:blank",
		title: "The answer isn't Berth's.",
		status: answer.status,
		detail: `HTTP ${answer.status}: ${text.slice(0, 200).trim() || "an empty body"}`,
		code: answer.status === 401 ? "unauthorized" : "platform_error",
		fault: answer.status < 500 ? "caller" : "platform",
		retryable: answer.status >= 500,
	};
}

function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
