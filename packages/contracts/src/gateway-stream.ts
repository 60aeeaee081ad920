import type { Phases, StartKind, StreamPlace } from "./invocation.js";
import type { StreamedHead } from "./stream-protocol.js";
import { KIB } from "./units.js";

/**
 * What a worker and the gateway that owns an invocation say to each other over HTTP, at the invocation's StreamPlace:
 * `PUT /streams/{id}` with the answer, whose body begins with its head, and `GET /streams/{id}` for the request's body.
 * A message that is cut off is one that broke off.
 */
export interface StreamHead extends Pick<StreamedHead, "contentType" | "response"> {
	/** Until the answer began. */
	readonly phases: Phases;
	readonly start: StartKind;
}

const LENGTH_BYTES = 4;
/** Headers of a response have 64 KiB at most; in JSON a character may be six. */
const MOST_BYTES = 512 * KIB;

/** Path below a stream's place. */
export const STREAMS_PATH = "/streams/";
export const streamPath = (id: string) => STREAMS_PATH + id;

/** What a worker of another machine puts on what it asks in the name of functions: `Vault.sign` of the text below. */
export const MACHINE_SIGNATURE_HEADER = "berth-machine";
/** What it signs: the request, and who asks whom. */
export const signedText = (method: string, path: string, head: string) => `${method} ${path}\n${head}`;

/** What says that one may. */
export const streamKey = ({ token }: StreamPlace) => `Bearer ${token}`;

export function encodeStreamHead(head: StreamHead): Buffer {
	const text = Buffer.from(JSON.stringify(head));
	const bytes = Buffer.allocUnsafe(LENGTH_BYTES + text.length);
	bytes.writeUInt32BE(text.length);
	text.copy(bytes, LENGTH_BYTES);
	return bytes;
}

/** The head in the beginning of a stream, and what came after it; undefined while it isn't whole. @throws Error when it is none */
export function decodeStreamHead(bytes: Buffer): { readonly head: StreamHead; readonly rest: Buffer } | undefined {
	if (bytes.length < LENGTH_BYTES) return undefined;
	const end = LENGTH_BYTES + bytes.readUInt32BE();
	if (end > MOST_BYTES) throw new Error(`a stream's head of ${end} bytes`);
	if (bytes.length < end) return undefined;
	return { head: JSON.parse(bytes.toString("utf8", LENGTH_BYTES, end)) as StreamHead, rest: bytes.subarray(end) };
}
