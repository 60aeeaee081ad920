import { KIB } from "@berth/contracts";

/** Record and handshake types, the extension, and its one kind of name (RFC 8446, RFC 6066). */
const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;
const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
/** Of a record (RFC 8446, 5.1). */
const MOST_RECORD_BYTES = 16 * KIB;
/** Clients send it in one or two: with one byte in each, reading them is all that we would do. */
const MOST_RECORDS = 16;
/** A longer one is none that a server takes. */
const MOST_HELLO_BYTES = 32 * KIB;
/** Version and random. */
const FIXED_BYTES = 34;

/** The server's name in the beginning of a TLS connection, in lower case; or with how many bytes of it in all there is more to see. */
export type Hello = { readonly name: string | undefined } | { readonly needs: number } | "malformed";

/** Reads a ClientHello, in however many records it comes. Every length in it is somebody else's. */
export function helloIn(bytes: Buffer): Hello {
	const message = messageIn(bytes);
	if (!Buffer.isBuffer(message)) return message;
	try {
		return { name: nameIn(message) };
	} catch (error) {
		if (error instanceof RangeError) return "malformed";
		throw error;
	}
}

/** The first handshake message, without its header. Records are looked at when they are there as a whole. */
function messageIn(bytes: Buffer): Buffer | { readonly needs: number } | "malformed" {
	const parts: Buffer[] = [];
	let at = 0;
	let most = MOST_HELLO_BYTES;
	while (parts.length < MOST_RECORDS) {
		if (at + RECORD_HEADER > bytes.length) return { needs: at + RECORD_HEADER };
		const length = bytes.readUInt16BE(at + 3);
		if (bytes[at] !== HANDSHAKE_RECORD || length === 0 || length > MOST_RECORD_BYTES) return "malformed";
		const end = at + RECORD_HEADER + length;
		if (end > bytes.length) return { needs: end };
		parts.push(bytes.subarray(at + RECORD_HEADER, end));
		at = end;
		if (parts[0]?.[0] !== CLIENT_HELLO) return "malformed";
		const there = at - RECORD_HEADER * parts.length - MESSAGE_HEADER;
		if (there >= 0 && most === MOST_HELLO_BYTES) most = Buffer.concat(parts).readUIntBE(1, 3);
		if (most > MOST_HELLO_BYTES) return "malformed";
		if (there >= most) return Buffer.concat(parts).subarray(MESSAGE_HEADER, MESSAGE_HEADER + most);
	}
	return "malformed";
}

/** @throws RangeError where a length leads beyond the end */
function nameIn(message: Buffer): string | undefined {
	const session = FIXED_BYTES + 1 + message.readUInt8(FIXED_BYTES);
	const ciphers = session + 2 + message.readUInt16BE(session);
	const compressions = ciphers + 1 + message.readUInt8(ciphers);
	// Extensions may be left out altogether.
	if (compressions === message.length) return undefined;
	const extensions = within(message, compressions + 2, message.readUInt16BE(compressions));
	let name: string | undefined;
	for (let at = 0; at < extensions.length; ) {
		const type = extensions.readUInt16BE(at);
		const data = within(extensions, at + 4, extensions.readUInt16BE(at + 2));
		if (type === SERVER_NAME) {
			// Whoever says two means that we read one and the server the other.
			if (name !== undefined) throw new RangeError("two names");
			name = hostIn(data);
		}
		at += 4 + data.length;
	}
	return name;
}

function hostIn(data: Buffer): string {
	const list = within(data, 2, data.readUInt16BE(0));
	const host = within(list, 3, list.readUInt16BE(1));
	if (list.readUInt8(0) !== HOST_NAME || 3 + host.length !== list.length) throw new RangeError("not one name of a host");
	return host.toString("latin1").toLowerCase();
}

function within(bytes: Buffer, at: number, length: number): Buffer {
	if (at + length > bytes.length) throw new RangeError("beyond the end");
	return bytes.subarray(at, at + length);
}
