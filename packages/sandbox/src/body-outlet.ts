import { type BodyHead, STREAM } from "@berth/contracts";
import { invocationIn } from "./agent-words.js";

/** A request's body in pieces, on its way to one attempt's agent: no more of it than the agent takes. */
export class BodyOutlet {
	readonly #id: string;
	readonly #send: (head: BodyHead, body?: Uint8Array, onTaken?: () => void) => void;
	/** Sent, and not taken by the agent yet, as it says. */
	#outstanding = 0;
	/** Held here until the agent's socket has them: what it says of those it hasn't read is nothing to go by. */
	#held = 0;
	#room = Promise.withResolvers<void>();
	#closed = false;

	/** @param send tells when the agent's socket has it, or never will */
	constructor(id: string, send: (head: BodyHead, body?: Uint8Array, onTaken?: () => void) => void) {
		this.#id = id;
		this.#send = send;
	}

	/** Sends all of it. It never rejects: a source that breaks off is the function's to hear of. */
	async pump(source: AsyncIterable<Uint8Array>): Promise<void> {
		try {
			for await (const bytes of source) {
				for (let at = 0; at < bytes.byteLength; at += STREAM.chunkBytes) {
					while (Math.max(this.#outstanding, this.#held) >= STREAM.chunks && !this.#closed) await this.#room.promise;
					if (this.#closed) return;
					this.#outstanding++;
					this.#held++;
					this.#send({ id: this.#id }, bytes.subarray(at, at + STREAM.chunkBytes), () => {
						this.#held--;
						this.#wake();
					});
				}
			}
			if (!this.#closed) this.#send({ id: this.#id, end: "whole" });
		} catch {
			if (!this.#closed) this.#send({ id: this.#id, end: "broken" });
		}
	}

	/** The agent says that it took chunks. @returns what was wrong with that */
	taken(head: unknown): string | undefined {
		const { chunks } = head as { readonly chunks?: unknown };
		if (invocationIn(head) !== this.#id) return "word of another request's body than its own";
		if (!Number.isSafeInteger(chunks) || (chunks as number) < 1 || (chunks as number) > this.#outstanding) {
			return "word of more of a request's body than it was sent";
		}
		this.#outstanding -= chunks as number;
		this.#wake();
		return undefined;
	}

	/** Nothing more is sent. */
	close(): void {
		this.#closed = true;
		this.#wake();
	}

	#wake(): void {
		this.#room.resolve();
		this.#room = Promise.withResolvers();
	}
}
