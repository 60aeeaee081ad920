import { crc32, deflateRawSync, gzipSync } from "node:zlib";

/** An entry of a tar as an attacker may write it: nothing is checked. */
export interface TarEntry {
	readonly path: string;
	readonly body?: string | Uint8Array;
	/** ustar's type flag: `0` a file, `1` a hard link, `2` a symbolic link, `3` a character device, `5` a directory. */
	readonly type?: string;
	readonly link?: string;
	/** 0644 if absent. */
	readonly mode?: number;
}

const BLOCK = 512;

/** A gzipped ustar archive. */
export function tarGz(...entries: readonly TarEntry[]): Buffer {
	return gzipSync(tar(...entries));
}

/** The same, not compressed. */
export function tar(...entries: readonly TarEntry[]): Buffer {
	return Buffer.concat([...entries.flatMap(tarParts), Buffer.alloc(2 * BLOCK)]);
}

function tarParts({ path, body = "", type = "0", link = "", mode = 0o644 }: TarEntry): readonly Buffer[] {
	const bytes = Buffer.from(body);
	const head = Buffer.alloc(BLOCK);
	head.write(path, 0, 100);
	head.write(`${mode.toString(8).padStart(7, "0")}\0`, 100);
	head.write("0000000\0", 108);
	head.write("0000000\0", 116);
	head.write(`${bytes.length.toString(8).padStart(11, "0")}\0`, 124);
	head.write("00000000000\0", 136);
	head.fill(" ", 148, 156);
	head.write(type, 156);
	head.write(link, 157, 100);
	head.write("ustar\x0000", 257, "latin1");
	const sum = head.reduce((total, byte) => total + byte, 0);
	head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
	return [head, bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)];
}

/** An entry of a zip; `mode` is the unix mode with its type bits, as in `0o120777` for a symbolic link. */
export interface ZipEntry {
	readonly path: string;
	readonly body?: string | Uint8Array;
	readonly mode?: number;
	/** Compressed: how small something large may look. */
	readonly deflated?: boolean;
}

/** A zip archive whose entries are stored unless they say otherwise (APPNOTE.TXT 4.3). */
export function zip(...entries: readonly ZipEntry[]): Buffer {
	const locals: Buffer[] = [];
	const central: Buffer[] = [];
	let offset = 0;
	for (const { path, body = "", mode = 0o100644, deflated = false } of entries) {
		const name = Buffer.from(path);
		const bytes = Buffer.from(body);
		const held = deflated ? deflateRawSync(bytes) : bytes;
		const shared = Buffer.alloc(26);
		shared.writeUInt16LE(20, 0);
		shared.writeUInt16LE(deflated ? 8 : 0, 4);
		shared.writeUInt32LE(crc32(bytes), 10);
		shared.writeUInt32LE(held.length, 14);
		shared.writeUInt32LE(bytes.length, 18);
		shared.writeUInt16LE(name.length, 22);
		const local = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), shared, name, held]);
		const tail = Buffer.alloc(14);
		tail.writeUInt32LE((mode << 16) >>> 0, 6);
		tail.writeUInt32LE(offset, 10);
		central.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x03", "latin1"), shared, tail, name]));
		locals.push(local);
		offset += local.length;
	}
	const directory = Buffer.concat(central);
	const end = Buffer.alloc(18);
	end.writeUInt16LE(entries.length, 4);
	end.writeUInt16LE(entries.length, 6);
	end.writeUInt32LE(directory.length, 8);
	end.writeUInt32LE(offset, 12);
	return Buffer.concat([...locals, directory, Buffer.from("PK\x05\x06", "latin1"), end]);
}
