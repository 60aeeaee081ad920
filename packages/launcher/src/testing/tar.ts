import { createHash } from "node:crypto";
import type { Digest } from "@berth/contracts";

/** One entry as it is written into a header, right or wrong. */
export interface TarEntry {
	readonly name: string;
	readonly type?: string;
	readonly mode?: number;
	readonly content?: string;
	readonly prefix?: string;
	/** Of a link. */
	readonly target?: string;
	/** What the header says instead of the content's length, as it is written. */
	readonly size?: string;
}

const BLOCK = 512;

/** A ustar archive, byte by byte. */
export function tar(...entries: readonly TarEntry[]): Buffer {
	return Buffer.concat([...entries.map(entryOf), Buffer.alloc(2 * BLOCK)]);
}

export function digestOf(bytes: Uint8Array): Digest {
	return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function entryOf({ name, type = "0", mode = 0o644, content = "", prefix = "", target = "", size }: TarEntry): Buffer {
	const header = Buffer.alloc(BLOCK);
	header.write(name, 0, 100);
	header.write(octal(mode, 7), 100);
	header.write(octal(4242, 7), 108);
	header.write(octal(4242, 7), 116);
	header.write(size ?? octal(Buffer.byteLength(content), 11), 124);
	header.write(octal(0, 11), 136);
	header.write(type, 156, 1, "latin1");
	header.write(target, 157, 100);
	header.write("ustar\x0000", 257, "latin1");
	header.write(prefix, 345, 155);
	header.write(" ".repeat(8), 148);
	const sum = header.reduce((total, byte) => total + byte, 0);
	header.write(`${octal(sum, 6)}\0 `, 148);
	const body = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / BLOCK) * BLOCK);
	body.write(content);
	return Buffer.concat([header, body]);
}

function octal(value: number, digits: number): string {
	return value.toString(8).padStart(digits, "0");
}
