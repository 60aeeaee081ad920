import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

const HEADER_BYTES = 12;
const TYPE_A = 1;
const CLASS_IN = 1;
/** A name's labels and its end (RFC 1035, 3.1). */
const MOST_NAME_BYTES = 255;
const TTL_S = 60;
/** Answer, recursion desired and available; the last four bits are the code (RFC 1035, 4.1.1). */
const FLAGS = { found: 0x8180, malformed: 0x8181, none: 0x8183, unsupported: 0x8184 } as const;

/**
 * A server of DNS for functions on a network: every name without a dot leads to one address, where it is decided by
 * the name whether there is such a function. Nothing else has an address. What is no question gets no answer.
 */
export async function serveNames(address: string, port: number, leadsTo: string): Promise<Socket> {
	const socket = createSocket("udp4");
	socket.on("message", (query, from) => {
		const answer = answerTo(query, leadsTo);
		// Whoever asked may be gone.
		if (answer !== undefined) socket.send(answer, from.port, from.address, () => undefined);
	});
	socket.bind(port, address);
	await once(socket, "listening");
	return socket;
}

/** The answer to a query; undefined where there is none to give. */
export function answerTo(query: Buffer, leadsTo: string): Buffer | undefined {
	// Shorter ones are no message, and answers aren't answered.
	if (query.length < HEADER_BYTES || ((query[2] as number) & 0x80) !== 0) return undefined;
	if (((query[2] as number) & 0x78) !== 0) return replyTo(query, FLAGS.unsupported);
	const end = endOfName(query);
	if (query.readUInt16BE(4) !== 1 || end === undefined) return replyTo(query, FLAGS.malformed);
	const question = query.subarray(HEADER_BYTES, end + 4);
	const isOneLabel = (query[HEADER_BYTES] as number) > 0 && HEADER_BYTES + (query[HEADER_BYTES] as number) + 2 === end;
	if (!isOneLabel || query.readUInt16BE(end + 2) !== CLASS_IN) return replyTo(query, FLAGS.none, question);
	if (query.readUInt16BE(end) !== TYPE_A) return replyTo(query, FLAGS.found, question);
	const record = Buffer.from([0xc0, HEADER_BYTES, 0, TYPE_A, 0, CLASS_IN, 0, 0, 0, TTL_S, 0, 4, ...leadsTo.split(".").map(Number)]);
	return replyTo(query, FLAGS.found, question, record);
}

/** Where the question's type stands; undefined when the name, type and class aren't all there. */
function endOfName(query: Buffer): number | undefined {
	let at = HEADER_BYTES;
	while (at < query.length && at - HEADER_BYTES < MOST_NAME_BYTES) {
		const length = query[at] as number;
		at += 1 + length;
		if (length > 63) return undefined;
		if (length === 0) return at + 4 <= query.length ? at : undefined;
	}
	return undefined;
}

function replyTo(query: Buffer, flags: number, question: Buffer = Buffer.alloc(0), record: Buffer = Buffer.alloc(0)): Buffer {
	const header = Buffer.alloc(HEADER_BYTES);
	query.copy(header, 0, 0, 2);
	header.writeUInt16BE(flags, 2);
	header.writeUInt16BE(question.length > 0 ? 1 : 0, 4);
	header.writeUInt16BE(record.length > 0 ? 1 : 0, 6);
	return Buffer.concat([header, question, record]);
}
