import { type CreditHead, FROM_AGENT, headerBytesOf, type InvokeHead, STREAM, type StreamedHead } from "@berth/contracts/agent";
import type { Link } from "./link.js";
import type { Reply } from "./payload.js";
import { type Gathered, type Source, TooLargeError } from "./pieces.js";

/** One answer in pieces, no faster than it is taken. What is yielded without waiting goes together. */
export class Outflow {
	readonly #link: Pick<Link, "send">;
	readonly #head: InvokeHead;
	#credit: number = STREAM.chunks;
	#held: Uint8Array[] = [];
	#heldBytes = 0;
	#sentBytes = 0;
	#flush: NodeJS.Immediate | undefined;
	#changed = Promise.withResolvers<void>();
	#rest: Source | undefined;
	#cancelled: Error | undefined;

	constructor(link: Pick<Link, "send">, head: InvokeHead) {
		this.#link = link;
		this.#head = head;
	}

	/** Resolves when all of it was sent. @throws what makes it throws, behind all that came before; TooLargeError; the cancellation's reason */
	async send({ body, rest, contentType, response }: Gathered & Pick<Reply, "contentType" | "response">): Promise<void> {
		const { id, attempt, maxHeaderBytes } = this.#head;
		const head: StreamedHead = {
			id,
			attempt,
			...(contentType === undefined ? {} : { contentType }),
			...(response === undefined ? {} : { response }),
		};
		this.#rest = rest;
		try {
			const bytes = headerBytesOf(head);
			if (bytes > maxHeaderBytes) throw new TooLargeError(`the response's headers have ${bytes} bytes, the limit is ${maxHeaderBytes}`);
			this.#check();
			this.#link.send(FROM_AGENT.streamed, head);
			await this.#write(body);
			for (let piece = await rest?.next(); piece !== undefined; piece = await rest?.next()) {
				this.#check();
				await this.#write(piece);
			}
			this.#check();
			await this.#sendAllHeld();
		} catch (error) {
			clearImmediate(this.#flush);
			this.#check();
			await rest?.cancel(error);
			await this.#sendAllHeld();
			throw error;
		}
	}

	/** The worker has taken some. */
	credit(head: CreditHead): void {
		this.#credit += head.chunks;
		this.#wake();
		if (this.#heldBytes > 0) this.#flushSoon();
	}

	/** Nobody wants it any more. */
	cancel(reason: Error): void {
		if (this.#cancelled !== undefined) return;
		this.#cancelled = reason;
		this.#wake();
		// What it throws at its end is nobody's to hear: the answer is the cancellation.
		this.#rest?.cancel(reason).catch(() => undefined);
	}

	async #write(piece: Uint8Array): Promise<void> {
		if (piece.byteLength === 0) return;
		this.#sentBytes += piece.byteLength;
		const { maxBytes = 0 } = this.#head.stream ?? {};
		if (this.#sentBytes > maxBytes) throw new TooLargeError(`the streamed response has more than ${maxBytes} bytes, its limit`);
		this.#held.push(piece);
		this.#heldBytes += piece.byteLength;
		while (!this.#sendHeld(STREAM.chunkBytes)) await this.#change();
		if (this.#heldBytes > 0) this.#flushSoon();
	}

	async #sendAllHeld(): Promise<void> {
		clearImmediate(this.#flush);
		while (!this.#sendHeld(1)) await this.#change();
	}

	#flushSoon(): void {
		this.#flush ??= setImmediate(() => {
			this.#flush = undefined;
			this.#sendHeld(1);
		});
	}

	/** Sends what is held, in chunks of at least so many bytes. @returns whether less than that is left */
	#sendHeld(leastBytes: number): boolean {
		while (this.#heldBytes >= leastBytes) {
			if (this.#credit === 0) return false;
			const all = this.#held.length === 1 ? (this.#held[0] as Uint8Array) : Buffer.concat(this.#held);
			const chunk = all.subarray(0, STREAM.chunkBytes);
			this.#held = chunk.byteLength === all.byteLength ? [] : [all.subarray(chunk.byteLength)];
			this.#heldBytes -= chunk.byteLength;
			this.#credit--;
			this.#link.send(FROM_AGENT.chunk, { id: this.#head.id }, chunk);
		}
		return true;
	}

	#check(): void {
		if (this.#cancelled !== undefined) throw this.#cancelled;
	}

	async #change(): Promise<void> {
		this.#check();
		await this.#changed.promise;
		this.#check();
	}

	#wake(): void {
		this.#changed.resolve();
		this.#changed = Promise.withResolvers();
	}
}
