import { BerthError } from "@berth/contracts";
import type { Dispatcher } from "undici";
import { unanswered } from "./silence.js";

type Body = Dispatcher.ResponseData["body"];

/** What was asked, as an error names it. */
interface Asked {
	readonly host: string;
	readonly what: string;
	/** How long nothing may come, milliseconds. */
	readonly silentMs: number;
}

/** The body of an answer, in pieces. @throws BerthError `registry_failed` when it breaks off, or nothing comes for too long */
export class AnswerBody implements AsyncIterable<Uint8Array> {
	readonly #body: Body;
	readonly #asked: Asked;

	constructor(body: Body, asked: Asked) {
		this.#body = body;
		this.#asked = asked;
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
		const { host, what, silentMs } = this.#asked;
		let bytes = 0;
		try {
			for await (const piece of this.#body as AsyncIterable<Uint8Array>) {
				bytes += piece.byteLength;
				yield piece;
			}
		} catch (cause) {
			throw new BerthError("registry_failed", `${host} broke off after ${bytes} bytes: it ${unanswered(cause, what, silentMs)}`, { cause });
		}
	}

	/** Reads what nobody wants to know, to have the connection again; however it ends. */
	async dump(): Promise<void> {
		await this.#body.dump();
	}
}
