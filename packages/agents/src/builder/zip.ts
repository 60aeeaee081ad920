import { crc32, inflateRawSync } from "node:zlib";
import { ARCHIVE_LIMITS, ArchiveError, tooManyEntries, tooMuch, unpackedLimit, wrongFormat } from "./archive-rules.js";
import type { SourceFiles } from "./source-files.js";

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const CENTRAL_SIGNATURE = 0x02014b50;
const CENTRAL_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED_FLAG = 1;
/** File types in the upper half of a Unix mode. */
const TYPE_MASK = 0o170000;
const TYPE_FILE = 0o100000;
const TYPE_DIRECTORY = 0o040000;
const OWNER_EXECUTE = 0o100;

/** An entry as the central directory has it. */
interface Entry {
	readonly name: string;
	readonly method: number;
	readonly crc: number;
	readonly packedBytes: number;
	readonly bytes: number;
	readonly localAt: number;
	readonly executable: boolean;
}

/** Reads a zip by its central directory: stored and deflated entries, one disk, no zip64, no encryption. @throws ArchiveError */
export function readZip(zip: Buffer, files: SourceFiles): void {
	const entries = listEntries(zip);
	const total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
	if (total > unpackedLimit(zip.length)) throw tooMuch(zip.length);
	for (const entry of entries) {
		if (entry.name.endsWith("/")) files.addDirectory(entry.name);
		else files.addFile(entry.name, unpack(zip, entry), entry.executable);
	}
}

/** The whole list, before anything is unpacked. */
function listEntries(zip: Buffer): Entry[] {
	const end = findEnd(zip);
	const count = zip.readUInt16LE(end + 10);
	if (zip.readUInt16LE(end + 4) !== 0 || zip.readUInt16LE(end + 8) !== count)
		throw new ArchiveError(undefined, "is split over several disks");
	if (count > ARCHIVE_LIMITS.entries) throw tooManyEntries();
	const entries: Entry[] = [];
	let at = zip.readUInt32LE(end + 16);
	for (let i = 0; i < count; i++) {
		if (at + CENTRAL_BYTES > end || zip.readUInt32LE(at) !== CENTRAL_SIGNATURE) throw damaged();
		const nameBytes = zip.readUInt16LE(at + 28);
		const next = at + CENTRAL_BYTES + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
		if (next > end) throw damaged();
		entries.push(readEntry(zip, at, nameBytes));
		at = next;
	}
	refuseOverlap(entries);
	return entries;
}

function readEntry(zip: Buffer, at: number, nameBytes: number): Entry {
	const name = textOf(zip.subarray(at + CENTRAL_BYTES, at + CENTRAL_BYTES + nameBytes));
	if ((zip.readUInt16LE(at + 8) & ENCRYPTED_FLAG) !== 0) throw new ArchiveError(name, "is encrypted; pack it without a password");
	// Of a zip made on Unix; one that was made elsewhere has no mode, so nothing in it is executable.
	const mode = zip.readUInt32LE(at + 38) >>> 16;
	const type = mode & TYPE_MASK;
	if (type !== 0 && type !== TYPE_FILE && type !== TYPE_DIRECTORY) {
		throw new ArchiveError(name, "is a link or a device; only files and directories are allowed");
	}
	return {
		name,
		method: zip.readUInt16LE(at + 10),
		crc: zip.readUInt32LE(at + 16),
		packedBytes: zip.readUInt32LE(at + 20),
		bytes: zip.readUInt32LE(at + 24),
		localAt: zip.readUInt32LE(at + 42),
		executable: (mode & OWNER_EXECUTE) !== 0,
	};
}

/** Entries that share bytes make a small archive endless (David Fifield, "A better zip bomb", 2019). */
function refuseOverlap(entries: readonly Entry[]): void {
	const byPlace = [...entries].sort((a, b) => a.localAt - b.localAt);
	for (const [i, entry] of byPlace.entries()) {
		const next = byPlace[i + 1];
		if (next !== undefined && entry.localAt + LOCAL_BYTES + entry.packedBytes > next.localAt)
			throw new ArchiveError(entry.name, "shares bytes with another entry");
	}
}

function unpack(zip: Buffer, entry: Entry): Buffer {
	const packed = packedBytes(zip, entry);
	const bytes = entry.method === STORED ? packed : inflate(packed, entry);
	if (bytes.length !== entry.bytes || crc32(bytes) !== entry.crc)
		throw new ArchiveError(entry.name, "doesn't match its checksum or size: the archive is damaged; pack it and send it again");
	return bytes;
}

function packedBytes(zip: Buffer, { name, localAt, packedBytes: length }: Entry): Buffer {
	if (localAt + LOCAL_BYTES > zip.length || zip.readUInt32LE(localAt) !== LOCAL_SIGNATURE) throw damaged();
	const start = localAt + LOCAL_BYTES + zip.readUInt16LE(localAt + 26) + zip.readUInt16LE(localAt + 28);
	if (start + length > zip.length) throw new ArchiveError(name, "is cut off: the archive ends too early; send all of it");
	return zip.subarray(start, start + length);
}

function inflate(packed: Buffer, { name, method, bytes }: Entry): Buffer {
	if (method !== DEFLATED) throw new ArchiveError(name, `is packed with method ${method}; only stored and deflated entries are read`);
	try {
		// At least one byte: zlib takes 0 for no limit at all.
		return inflateRawSync(packed, { maxOutputLength: Math.max(1, bytes) });
	} catch (error) {
		throw new ArchiveError(name, `can't be unpacked (${(error as Error).message}): the archive is damaged; pack it and send it again`);
	}
}

/** The end record is the last thing in the file but for a comment of at most 64 KiB. */
function findEnd(zip: Buffer): number {
	for (let at = zip.length - END_BYTES; at >= Math.max(0, zip.length - END_BYTES - 0xffff); at--) {
		if (zip.readUInt32LE(at) === END_SIGNATURE && at + END_BYTES + zip.readUInt16LE(at + 20) === zip.length) return at;
	}
	if (zip.toString("latin1", 0, 2) !== "PK") throw wrongFormat(zip, "a zip");
	throw new ArchiveError(undefined, "is cut off: the directory that ends a zip is missing; send all of it");
}

function textOf(bytes: Buffer): string {
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
	} catch {
		throw new ArchiveError(bytes.toString("latin1"), "has a name that isn't UTF-8");
	}
}

function damaged(): ArchiveError {
	return new ArchiveError(undefined, "is damaged: its directory can't be read; pack it and send it again");
}
