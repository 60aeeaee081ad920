import type { Socket } from "node:net";
import { KIB } from "@berth/contracts";
import { helloIn } from "./client-hello.js";

/** How a client begins: what it speaks, and with whom, where that is said. */
export type Words = { readonly speaks: "tls"; readonly name: string | undefined } | { readonly speaks: "http" | "other" };

/** A longer beginning is no ClientHello, and no line of a request, that a server takes. */
const MOST_BYTES = 32 * KIB;
const TLS_HANDSHAKE = 22;
/** A method, and a target that is a path, a URL or all of a server. */
const REQUEST_BEGINS = /^[A-Z-]{0,24}(?:[ \t]+(?:$|[/*h][\x20-\x7e]*\r?$))?$/i;

/** What the first bytes of a client are; undefined: too few to tell. */
export function wordsIn(bytes: Buffer): Words | undefined {
	if (bytes[0] === TLS_HANDSHAKE) {
		const hello = helloIn(bytes);
		if (hello === "incomplete") return bytes.length > MOST_BYTES ? { speaks: "other" } : undefined;
		return hello === "malformed" ? { speaks: "other" } : { speaks: "tls", ...hello };
	}
	// Other protocols, too, begin with a word in capitals: a request's line ends with its version. Servers skip empty lines before it.
	const text = bytes.toString("latin1").replace(/^[\r\n]+/, "");
	const [line = "", ...more] = text.split("\n", 2);
	if (more.length > 0) return { speaks: /HTTP\/\d/i.test(line) ? "http" : "other" };
	return bytes.length <= MOST_BYTES && REQUEST_BEGINS.test(line) ? undefined : { speaks: "other" };
}

/** Waits for them, and leaves them to be read; undefined when the client went before. */
export function firstWords(client: Socket): Promise<Words | undefined> {
	return new Promise((resolve) => {
		let bytes = Buffer.alloc(0);
		const done = (words: Words | undefined) => {
			client.off("data", onData).off("end", onEnd).off("close", onClose);
			client.pause();
			if (bytes.length > 0 && !client.destroyed) client.unshift(bytes);
			resolve(words);
		};
		const onData = (chunk: Buffer) => {
			bytes = Buffer.concat([bytes, chunk]);
			const words = wordsIn(bytes);
			if (words !== undefined) done(words);
		};
		const onEnd = () => done(bytes.length > 0 ? { speaks: "other" } : undefined);
		const onClose = () => done(undefined);
		client.on("data", onData).once("end", onEnd).once("close", onClose);
	});
}
