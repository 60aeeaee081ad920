import { STREAM } from "@berth/contracts/agent";
import { ReplyError } from "./reply-error.js";

/** A body whose end isn't there yet. */
export interface Source {
	/** The next piece; undefined: it is over. */
	next(): Promise<Uint8Array | undefined>;
	/** Nobody wants the rest. Resolves when whoever makes it has ended. */
	cancel(reason: unknown): Promise<unknown>;
}

/** What is there of a body without waiting, and what comes later, if anything does. */
export interface Gathered {
	readonly body: Uint8Array;
	readonly rest?: Source;
}

/** A body that has more bytes than it may. */
export class TooLargeError extends Error {}

const EMPTY = new Uint8Array(0);
const LATER = Symbol("later");
/** More than that isn't gathered unless it comes as one piece. */
const GATHERED_BYTES = 2 * STREAM.chunkBytes;
const encoder = new TextEncoder();

/** Reads a body as far as it goes without waiting: most end there, and are whole answers. */
export async function gathered(source: Source): Promise<Gathered> {
	const pieces: Uint8Array[] = [];
	let bytes = 0;
	let immediate: NodeJS.Immediate | undefined;
	const later = new Promise<typeof LATER>((resolve) => {
		immediate = setImmediate(resolve, LATER);
	});
	try {
		while (true) {
			const next = source.next();
			const piece = await Promise.race([next, later]);
			if (piece === undefined) return { body: joined(pieces) };
			if (piece === LATER) return { body: joined(pieces), rest: after(next, source) };
			pieces.push(piece);
			bytes += piece.byteLength;
			if (pieces.length > 1 && bytes > GATHERED_BYTES) return { body: joined(pieces), rest: source };
		}
	} finally {
		clearImmediate(immediate);
	}
}

/** All of it. @throws TooLargeError when it has more than so many bytes */
export async function collected({ body, rest }: Gathered, maxBytes: number): Promise<Uint8Array> {
	const pieces = [body];
	let bytes = body.byteLength;
	for (let piece = await rest?.next(); piece !== undefined; piece = await rest?.next()) {
		pieces.push(piece);
		bytes += piece.byteLength;
		if (bytes > maxBytes) {
			const error = new TooLargeError(`the response has more than ${maxBytes} bytes, the limit where it isn't streamed`);
			await rest?.cancel(error);
			throw error;
		}
	}
	return joined(pieces);
}

/** The body of a Response. */
export function sourceOf(body: ReadableStream<unknown>): Source {
	const reader = body.getReader();
	return {
		async next() {
			const { done, value } = await reader.read();
			if (done) return undefined;
			if (value instanceof Uint8Array) return value;
			const message = `the response's stream gave ${typeof value === "object" ? "an object" : `a ${typeof value}`}; it gives bytes, as from new TextEncoder() or a TextEncoderStream`;
			await reader.cancel(message);
			throw new ReplyError(message);
		},
		cancel: (reason) => reader.cancel(reason),
	};
}

/** Whether a handler's value is its answer in pieces: a generator, or what is iterated asynchronously. */
export function isPieces(value: unknown): value is AsyncIterable<unknown> | Iterator<unknown> {
	if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
	const { next, [Symbol.iterator]: iterate, [Symbol.asyncIterator]: iterateLater } = value as Record<string | symbol, unknown>;
	return typeof iterateLater === "function" || (typeof next === "function" && typeof iterate === "function");
}

/**
 * The values that a handler yields, each a piece: text and bytes as they are, anything else as a line of JSON. As events of
 * a stream, where those are asked for, text and what has JSON are the data of one each.
 * @returns its type goes by the first value
 */
export async function yielded(
	values: AsyncIterable<unknown> | Iterator<unknown>,
	asEvents: boolean,
): Promise<Gathered & { readonly contentType: string }> {
	const iterate = (values as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator];
	const iterator = iterate === undefined ? (values as Iterator<unknown>) : iterate.call(values);
	const encode = asEvents ? eventOf : pieceOf;
	const source: Source = {
		async next() {
			const { done, value } = await iterator.next();
			return done === true ? undefined : encode(await value);
		},
		// A generator that waits ends when it is done with that: its `finally` runs.
		cancel: async () => await iterator.return?.(),
	};
	if (asEvents) return { ...(await gathered(source)), contentType: "text/event-stream" };
	const { done, value } = await iterator.next();
	if (done === true) return { body: EMPTY, contentType: "application/x-ndjson" };
	const first = await value;
	const { body, rest } = await gathered(source);
	return { body: joined([encode(first), body]), ...(rest === undefined ? {} : { rest }), contentType: typeOf(first) };
}

function typeOf(value: unknown): string {
	if (typeof value === "string") return "text/plain; charset=utf-8";
	return value instanceof Uint8Array || value instanceof ArrayBuffer ? "application/octet-stream" : "application/x-ndjson";
}

function pieceOf(value: unknown): Uint8Array {
	if (value instanceof Uint8Array) return value;
	if (value instanceof ArrayBuffer) return new Uint8Array(value);
	return encoder.encode(typeof value === "string" ? value : `${jsonOf(value)}\n`);
}

function eventOf(value: unknown): Uint8Array {
	if (value instanceof Uint8Array || value instanceof ArrayBuffer) return pieceOf(value);
	const text = typeof value === "string" ? value : jsonOf(value);
	return encoder.encode(
		`${text
			.split(/\r\n|\r|\n/)
			.map((line) => `data: ${line}\n`)
			.join("")}\n`,
	);
}

function jsonOf(value: unknown): string {
	const text = JSON.stringify(value);
	if (text === undefined) throw new ReplyError(`the handler yielded a ${typeof value}, which has no JSON form`);
	return text;
}

/** What was asked for already comes first. */
function after(asked: Promise<Uint8Array | undefined>, { next, cancel }: Source): Source {
	let first: Promise<Uint8Array | undefined> | undefined = asked;
	// Whoever is told of its failure asks for it.
	asked.catch(() => undefined);
	return {
		next() {
			const given = first ?? next();
			first = undefined;
			return given;
		},
		cancel,
	};
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
	const filled = pieces.filter(({ byteLength }) => byteLength > 0);
	return filled.length === 1 ? (filled[0] as Uint8Array) : filled.length === 0 ? EMPTY : Buffer.concat(filled);
}
