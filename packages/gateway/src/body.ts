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
	/** What is held of those that wait for their functions. */
	#held = 0;
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
	async read(request: Request, maxBytes: number, rule = `the body may have ${sizeText(maxBytes)} at most`): Promise<Buffer> {
		const kept = this.#kept.get(request);
		if (kept !== undefined && kept.length > maxBytes) throw tooLarge(maxBytes, rule);
		if (kept !== undefined) return kept;
		const declared = request.headers["content-length"];
		if (declared !== undefined && Number(declared) > maxBytes) throw tooLarge(maxBytes, rule);
		return await this.#arrive(request, maxBytes, () => {
			throw tooLarge(maxBytes, rule);
		});
	}

	/** The same of one that may have more: then what has come of it, and the rest of the request waits. @throws BerthError too_busy, invalid_request */
	async begin(request: Request, maxBytes: number): Promise<Buffer | Begun> {
		const kept = this.#kept.get(request);
		if (kept !== undefined) return kept;
		const { "content-length": declared, expect } = request.headers;
		if (declared !== undefined && Number(declared) > maxBytes) {
			if (expect !== undefined) request.res?.writeContinue();
			return { first: EMPTY, release: () => undefined };
		}
		let begun: Begun | undefined;
		const whole = await this.#arrive(request, maxBytes, (first) => {
			begun = this.#hold(first);
		});
		return begun ?? whole;
	}

	/** The beginning of one that waits for its function: nobody's who is slow, so it gives way to none; all of them have half of the room. */
	#hold(first: Buffer): Begun {
		const most = this.#maxBytes / 2;
		if (this.#held + first.length > most)
			throw new BerthError("too_busy", `bodies of ${sizeText(most)} wait for their functions already; try again`);
		this.#held += first.length;
		let isHeld = true;
		const release = () => {
			if (isHeld) this.#held -= first.length;
			isHeld = false;
		};
		return { first, release };
	}

	/** Whoever reads this request's body is given this. */
	keep(request: Request, body: Buffer): void {
		this.#kept.set(request, body);
	}

	/** @param more what becomes of one that has more: it is given what has come, or throws a BerthError */
	#arrive(request: Request, maxBytes: number, more: (first: Buffer) => void): Promise<Buffer> {
		const { "content-length": declared, "transfer-encoding": encoding, expect } = request.headers;
		if (declared === "0" || (declared === undefined && encoding === undefined)) return Promise.resolve(EMPTY);
		if (expect !== undefined) request.res?.writeContinue();
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
			const take = (chunk: Buffer) => {
				if (body.ended) return;
				if (body.bytes + chunk.length <= maxBytes) this.#add(body, chunk);
				else {
					try {
						more(Buffer.concat([body.whole(), chunk]));
						this.#end(body);
						request.pause().off("data", take).off("end", end).off("error", cutShort).off("close", cutShort);
						resolve(EMPTY);
					} catch (error) {
						refuse(error as BerthError);
					}
				}
			};
			const end = () => {
				const whole = body.ended ? EMPTY : body.whole();
				this.#end(body);
				resolve(whole);
			};
			request.on("data", take);
			request.on("end", end);
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

/** A body that is larger than is held: what has come of it; the rest of the request waits. */
export interface Begun {
	readonly first: Buffer;
	/** It isn't held any more: until then it counts. */
	readonly release: () => void;
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
