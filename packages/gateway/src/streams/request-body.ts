import type { ServerResponse } from "node:http";
import { BerthError, FIXED_LIMITS, KIB, SECOND_MS, sizeText, streamBytesOf, type Version } from "@berth/contracts";
import type { Request } from "express";
import type { Begun, Bodies } from "../body.js";
import type { Streams } from "./streams.js";

/** Less than this isn't progress: a client that is waited for holds a sandbox. */
const STEP_BYTES = 64 * KIB;

/** How long a client may go on sending what nobody reads, milliseconds. */
const LINGER_MS = 2 * SECOND_MS;

/** A request's body that is too large to be held: its function gets it as it comes, no faster than it reads. */
export class RequestBody {
	/** All of a request's body while it is small enough to be held, else what gives it to a worker. @throws BerthError as Bodies.begin */
	static async of(request: Request, bodies: Bodies, { manifest }: Version, streams: Streams): Promise<Buffer | RequestBody> {
		const maxBytes = streamBytesOf(manifest);
		const declared = Number(request.headers["content-length"] ?? 0);
		if (declared > maxBytes) throw tooLarge(maxBytes);
		const begun = await bodies.begin(request, FIXED_LIMITS.bodyBytes);
		if (!("first" in begun)) return begun;
		streams.allow(request);
		return new RequestBody(request, begun, maxBytes, streams.bodyStallMs);
	}

	readonly #request: Request;
	readonly #maxBytes: number;
	readonly #stallMs: number;
	/** What had come before this was known. */
	#first: Buffer | undefined;
	readonly #release: () => void;
	#bytes: number;
	/** What has come since it was last seen to go on. */
	#step = 0;
	#stalled: NodeJS.Timeout | undefined;
	#refuse: (error: BerthError) => void = () => undefined;
	/** Why nobody gets the rest: what the caller did wrong. */
	refused: BerthError | undefined;

	/** @param first what has come; the rest of the request is paused */
	private constructor(request: Request, { first, release }: Begun, maxBytes: number, stallMs: number) {
		this.#release = release;
		this.#request = request;
		// What nobody read of it is still on the connection.
		const { res: answer } = request;
		answer?.setHeader("connection", "close");
		answer?.once("finish", () => {
			if (request.complete) return;
			request.resume();
			setTimeout(() => request.destroy(), LINGER_MS).unref();
		});
		this.#first = first;
		this.#bytes = first.length;
		this.#maxBytes = maxBytes;
		this.#stallMs = stallMs;
	}

	/** To the worker that asks for it, once. A body that breaks off is cut off there. */
	give(response: ServerResponse): void {
		const request = this.#request;
		const first = this.#first ?? Buffer.alloc(0);
		this.#first = undefined;
		const take = (chunk: Buffer) => this.#pass(chunk, response);
		const refuse = (error: BerthError) => {
			this.refused ??= error;
			response.destroy();
		};
		this.#refuse = refuse;
		response.writeHead(200);
		response.on("drain", () => this.#await());
		response.once("close", () => {
			clearTimeout(this.#stalled);
			request.off("data", take).pause();
		});
		request.on("data", take);
		request.once("end", () => {
			clearTimeout(this.#stalled);
			response.end();
		});
		request.once("close", () => {
			if (!request.readableEnded) refuse(new BerthError("invalid_request", "the body ended before it was complete"));
		});
		if (first.length === 0 || response.write(first, this.#release)) this.#await();
	}

	/** Nobody asks for it any more. */
	close(): void {
		this.#first = undefined;
		this.#release();
	}

	#pass(chunk: Buffer, response: ServerResponse): void {
		this.#bytes += chunk.length;
		this.#step += chunk.length;
		if (this.#bytes > this.#maxBytes) this.#refuse(tooLarge(this.#maxBytes));
		else if (!response.write(chunk)) {
			clearTimeout(this.#stalled);
			this.#request.pause();
		} else if (this.#step >= STEP_BYTES) this.#await();
	}

	/** The client is waited for. */
	#await(): void {
		clearTimeout(this.#stalled);
		this.#step = 0;
		const late = () =>
			this.#refuse(
				new BerthError("request_timeout", `less than ${sizeText(STEP_BYTES)} of the body came in ${this.#stallMs / SECOND_MS} s`),
			);
		this.#stalled = setTimeout(late, this.#stallMs);
		this.#request.resume();
	}
}

function tooLarge(maxBytes: number): BerthError {
	return new BerthError("body_too_large", `the body may have ${sizeText(maxBytes)} at most (streamMiB)`, {
		extra: { limitBytes: maxBytes },
	});
}
