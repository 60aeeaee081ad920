import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { portTaken } from "./port-taken.js";

const HEADER_BYTES = 12;
const TYPE_A = 1;
const CLASS_IN = 1;
/** A name's labels and its end (RFC 1035, 3.1). */
const MOST_NAME_BYTES = 255;
const TTL_S = 60;
const LABEL = /^[a-z0-9_-]+$/;
/** Answer, recursion desired and available; the last four bits are the code (RFC 1035, 4.1.1). */
const FLAGS = { found: 0x8180, malformed: 0x8181, none: 0x8183, unsupported: 0x8184 } as const;

/** What a name leads to, by the address of who asks; undefined: nothing. */
export type NamesOf = (name: string, from: string) => string | undefined;

/** A server of DNS for functions: a name has one address of IPv4, or none. What is no question gets no answer. */
export async function serveNames(address: string, port: number, namesOf: NamesOf): Promise<Socket> {
	const socket = createSocket("udp4");
	socket.on("message", (query, from) => {
		const answer = answerTo(query, (name) => namesOf(name, from.address));
		// Whoever asked may be gone.
		if (answer !== undefined) socket.send(answer, from.port, from.address, () => undefined);
	});
	socket.bind(port, address);
	await once(socket, "listening").catch(portTaken("udp", address, port));
	return socket;
}

/** The answer to a query; undefined where there is none to give. */
export function answerTo(query: Buffer, find: (name: string) => string | undefined): Buffer | undefined {
	// Shorter ones are no message, and answers aren't answered.
	if (query.length < HEADER_BYTES || ((query[2] as number) & 0x80) !== 0) return undefined;
	if (((query[2] as number) & 0x78) !== 0) return replyTo(query, FLAGS.unsupported);
	const end = endOfName(query);
	if (query.readUInt16BE(4) !== 1 || end === undefined) return replyTo(query, FLAGS.malformed);
	const question = query.subarray(HEADER_BYTES, end + 4);
	const name = nameIn(query.subarray(HEADER_BYTES, end));
	const leadsTo = name === undefined || query.readUInt16BE(end + 2) !== CLASS_IN ? undefined : find(name);
	if (leadsTo === undefined) return replyTo(query, FLAGS.none, question);
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

/** In lower case; undefined when it has what no host's name has. @param labels each with its length in front */
function nameIn(labels: Buffer): string | undefined {
	const name: string[] = [];
	for (let at = 0; (labels[at] as number) > 0; at += 1 + (labels[at] as number))
		name.push(labels.toString("latin1", at + 1, at + 1 + (labels[at] as number)).toLowerCase());
	return name.length > 0 && name.every((label) => LABEL.test(label)) ? name.join(".") : undefined;
}

function replyTo(query: Buffer, flags: number, question: Buffer = Buffer.alloc(0), record: Buffer = Buffer.alloc(0)): Buffer {
	const header = Buffer.alloc(HEADER_BYTES);
	query.copy(header, 0, 0, 2);
	header.writeUInt16BE(flags, 2);
	header.writeUInt16BE(question.length > 0 ? 1 : 0, 4);
	header.writeUInt16BE(record.length > 0 ? 1 : 0, 6);
	return Buffer.concat([header, question, record]);
}
