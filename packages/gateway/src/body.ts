import { BerthError, sizeText } from "@berth/contracts";
import type { Request } from "express";

const EMPTY = Buffer.alloc(0);
/** Chunks that become one: each costs some 200 bytes beside what is in it, and a client may send a byte in each. */
const MANY_CHUNKS = 256;

/**
 * Reads requests' raw bodies, never more of one than its limit, nor of all that are arriving more than
 * may be held together: then who has sent nothing for the longest gives way.
 */
export class Bodies {
	readonly #maxBytes: number;
	/** Who has sent nothing for the longest comes first. */
	readonly #arriving = new Set<Arriving>();
	#bytes = 0;
	/** Of requests that were read before they were served. */
	readonly #kept = new WeakMap<Request, Buffer>();

	/** @param maxBytes of all that are arriving */
	constructor(maxBytes: number) {
		this.#maxBytes = maxBytes;
	}

	/**
	 * One body. What declares itself too large is refused before a byte is read, and before it is sent by a
	 * client that asks (`Expect: 100-continue`).
	 * @param rule what is said when it has more @throws BerthError body_too_large, too_busy when it gave way, invalid_request when it is cut short
	 */
	read(request: Request, maxBytes: number, rule = `the body may have ${sizeText(maxBytes)} at most`): Promise<Buffer> {
		const kept = this.#kept.get(request);
		if (kept !== undefined) return kept.length > maxBytes ? Promise.reject(tooLarge(maxBytes, rule)) : Promise.resolve(kept);
		const { "content-length": declared, "transfer-encoding": encoding, expect } = request.headers;
		if (declared !== undefined && Number(declared) > maxBytes) return Promise.reject(tooLarge(maxBytes, rule));
		if (declared === "0" || (declared === undefined && encoding === undefined)) return Promise.resolve(EMPTY);
		if (expect !== undefined) request.res?.writeContinue();
		return this.#collect(request, maxBytes, rule);
	}

	/** Whoever reads this request's body is given this. */
	keep(request: Request, body: Buffer): void {
		this.#kept.set(request, body);
	}

	#collect(request: Request, maxBytes: number, rule: string): Promise<Buffer> {
		return new Promise((resolve, reject) => {
			const body = new Arriving();
			const refuse = (error: BerthError) => {
				this.#end(body);
				request.pause();
				reject(error);
			};
			// Every request closes in the end: an error, with its stack, is made only for one that was cut short.
			const cutShort = () => {
				if (!request.readableEnded) refuse(new BerthError("invalid_request", "the body ended before it was complete"));
			};
			body.giveWay = () => refuse(new BerthError("too_busy", `bodies of ${sizeText(this.#maxBytes)} are arriving already; try again`));
			request.on("data", (chunk: Buffer) => {
				if (body.ended) return;
				if (body.bytes + chunk.length > maxBytes) refuse(tooLarge(maxBytes, rule));
				else this.#add(body, chunk);
			});
			request.on("end", () => {
				const whole = body.ended ? EMPTY : body.whole();
				this.#end(body);
				resolve(whole);
			});
			request.on("error", cutShort);
			request.on("close", cutShort);
		});
	}

	#end(body: Arriving): void {
		if (this.#arriving.delete(body)) this.#bytes -= body.bytes;
		body.end();
	}

	#add(body: Arriving, chunk: Buffer): void {
		body.add(chunk);
		this.#bytes += chunk.length;
		this.#arriving.delete(body);
		this.#arriving.add(body);
		while (this.#bytes > this.#maxBytes) (this.#arriving.values().next().value as Arriving).giveWay();
	}
}
/** A body of which more may come. */
class Arriving {
	/** Refuses it. */
	giveWay: () => void = () => undefined;
	bytes = 0;
	ended = false;
	#chunks: Buffer[] = [];
	/** How many of them are many chunks joined. */
	#joined = 0;

	add(chunk: Buffer): void {
		this.bytes += chunk.length;
		this.#chunks.push(chunk);
		if (this.#chunks.length - this.#joined < MANY_CHUNKS) return;
		this.#chunks.push(Buffer.concat(this.#chunks.splice(this.#joined)));
		this.#joined++;
	}

	whole(): Buffer {
		return this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks, this.bytes);
	}

	/** Lets go of what it holds. */
	end(): void {
		this.ended = true;
		this.#chunks = [];
	}
}

function tooLarge(maxBytes: number, rule: string): BerthError {
	return new BerthError("body_too_large", rule, { extra: { limitBytes: maxBytes } });
}
