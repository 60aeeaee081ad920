import type { Socket } from "node:net";
import { KIB, SECOND_MS } from "@berth/contracts";
import { helloIn } from "./client-hello.js";

/** How a client begins: what it speaks, and with whom, where that is said. */
export type Words = { readonly speaks: "tls"; readonly name: string | undefined } | { readonly speaks: "http" | "other" };

/** A longer beginning is no ClientHello, and no line of a request, that a server takes. */
const MOST_BYTES = 34 * KIB;
/** Who has begun is done in that time, milliseconds. */
const WORDS_MS = 10 * SECOND_MS;
const TLS_HANDSHAKE = 22;
/** A method, and a target that is a path, a URL or all of a server. */
const REQUEST_BEGINS = /^[A-Z-]{0,24}(?:[ \t]{1,8}(?:$|[/*h][\x20-\x7e]*\r?$))?$/i;
/** So many characters of it decide where its target begins. */
const BEGINS_CHARS = 24 + 8 + 1;
const TARGET_GOES_ON = /^[\x20-\x7e]*\r?$/;

/** Reads how a client begins as it comes. Each byte is looked at once, however small the pieces: they are somebody else's to choose. */
export class Beginning {
	readonly #pieces: Buffer[] = [];
	#length = 0;
	/** Of TLS: with how many bytes there is more to see. */
	#needs = 0;
	/** Of the first line that isn't empty: its characters so far, as long as they tell where its target begins. */
	#line = "";
	#lineChars = 0;
	#hasReturn = false;

	/** @returns what it is; undefined: too little to tell */
	take(piece: Buffer): Words | undefined {
		this.#pieces.push(piece);
		this.#length += piece.length;
		const words = this.#pieces[0]?.[0] === TLS_HANDSHAKE ? this.#helloIn() : this.#lineIn(piece);
		return words ?? (this.#length > MOST_BYTES ? { speaks: "other" } : undefined);
	}

	/** All that came. */
	get bytes(): Buffer {
		return Buffer.concat(this.#pieces);
	}

	#helloIn(): Words | undefined {
		if (this.#length < this.#needs) return undefined;
		const hello = helloIn(this.bytes);
		if (hello === "malformed") return { speaks: "other" };
		if ("name" in hello) return { speaks: "tls", ...hello };
		this.#needs = hello.needs;
		return undefined;
	}

	/** Other protocols, too, begin with a word in capitals: a request's line ends with its version. Servers skip empty lines before it. */
	#lineIn(piece: Buffer): Words | undefined {
		const text = this.#lineChars > 0 ? piece.toString("latin1") : piece.toString("latin1").replace(/^[\r\n]+/, "");
		if (text === "") return undefined;
		if (text.includes("\n")) {
			const [line = ""] = this.bytes
				.toString("latin1")
				.replace(/^[\r\n]+/, "")
				.split("\n", 1);
			return { speaks: /HTTP\/\d/i.test(line) ? "http" : "other" };
		}
		const goesOn = this.#lineChars < BEGINS_CHARS ? REQUEST_BEGINS.test(this.#line + text) : !this.#hasReturn && TARGET_GOES_ON.test(text);
		this.#line = this.#lineChars < BEGINS_CHARS ? this.#line + text : "";
		this.#lineChars += text.length;
		this.#hasReturn = text.endsWith("\r");
		return goesOn ? undefined : { speaks: "other" };
	}
}

/**
 * Waits for them, and leaves them to be read; undefined when the client went before.
 * @param speaksFirst whether the client has to: then its time begins at once, and otherwise with its first byte
 */
export function firstWords(client: Socket, speaksFirst: boolean): Promise<Words | undefined> {
	return new Promise((resolve) => {
		const beginning = new Beginning();
		let deadline: NodeJS.Timeout | undefined;
		const done = (words: Words | undefined) => {
			clearTimeout(deadline);
			client.off("data", onData).off("end", onEnd).off("close", onClose);
			client.pause();
			const { bytes } = beginning;
			if (bytes.length > 0 && !client.destroyed) client.unshift(bytes);
			resolve(words);
		};
		const begin = () => {
			deadline ??= setTimeout(() => done({ speaks: "other" }), WORDS_MS);
		};
		const onData = (piece: Buffer) => {
			begin();
			const words = beginning.take(piece);
			if (words !== undefined) done(words);
		};
		const onEnd = () => done(beginning.bytes.length > 0 ? { speaks: "other" } : undefined);
		const onClose = () => done(undefined);
		if (speaksFirst) begin();
		client.on("data", onData).once("end", onEnd).once("close", onClose);
	});
}
