import type { OutgoingHttpHeaders } from "node:http";
import type { Response } from "express";

type Write = (chunk: unknown, ...rest: unknown[]) => boolean;
type End = (...given: unknown[]) => Response;

/** Headers of one connection, or that a repetition has of its own. */
const NOT_KEPT: ReadonlySet<string> = new Set(["connection", "keep-alive", "transfer-encoding", "content-length", "date", "trailer"]);

/**
 * An answer on its way: what is written goes on, and is remembered as far as it may be; the end waits until the whole
 * is stored, so that nobody has an answer that would be another one the next time. It goes on, too, when the client is gone.
 */
export class Capture {
	readonly #response: Response;
	readonly #mostBytes: number;
	readonly #over = Promise.withResolvers<void>();
	#chunks: Buffer[] = [];
	#bytes = 0;
	#finish: (() => void) | undefined;

	constructor(response: Response, mostBytes: number) {
		this.#response = response;
		this.#mostBytes = mostBytes;
		const write = response.write.bind(response) as Write;
		const end = response.end.bind(response) as End;
		response.write = ((chunk: unknown, ...rest: unknown[]) => {
			this.#add(chunk, rest[0]);
			if (!response.destroyed) return write(chunk, ...rest);
			callbackIn(rest)?.();
			return true;
		}) as typeof response.write;
		response.end = ((...given: unknown[]) => {
			if (this.#finish !== undefined) return response;
			const [chunk, encoding] = given;
			if (typeof chunk !== "function") this.#add(chunk, encoding);
			this.#finish = () => void (response.destroyed ? callbackIn(given)?.() : end(...given));
			this.#over.resolve();
			return response;
		}) as typeof response.end;
	}

	/** Resolves when the answer is whole; and, when its client is gone, with the end of `served`: there may be no answer then. */
	async whole(served: Promise<void>): Promise<boolean> {
		await served;
		if (this.#finish === undefined && !this.#response.closed) {
			this.#response.once("close", () => this.#over.resolve());
			await this.#over.promise;
		}
		return this.#finish !== undefined;
	}

	get hasEnded(): boolean {
		return this.#finish !== undefined;
	}

	get status(): number {
		return this.#response.statusCode;
	}

	get headers(): OutgoingHttpHeaders {
		return Object.fromEntries(Object.entries(this.#response.getHeaders()).filter(([name]) => !NOT_KEPT.has(name)));
	}

	get bytes(): number {
		return this.#bytes;
	}

	/** Undefined when it is larger than what may be remembered. */
	get body(): Buffer | undefined {
		return this.#bytes > this.#mostBytes ? undefined : Buffer.concat(this.#chunks);
	}

	/** Lets the end of the answer go. */
	finish(): void {
		this.#finish?.();
	}

	#add(chunk: unknown, encoding: unknown): void {
		if (chunk === undefined || chunk === null) return;
		const bytes =
			typeof chunk === "string" ? Buffer.from(chunk, isEncoding(encoding) ? encoding : "utf8") : Buffer.from(chunk as Uint8Array);
		this.#bytes += bytes.length;
		if (this.#bytes > this.#mostBytes) this.#chunks = [];
		else this.#chunks.push(bytes);
	}
}

function isEncoding(value: unknown): value is BufferEncoding {
	return typeof value === "string" && Buffer.isEncoding(value);
}

function callbackIn(given: readonly unknown[]): (() => void) | undefined {
	return given.find((one): one is () => void => typeof one === "function");
}
