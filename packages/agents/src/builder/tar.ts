import { ARCHIVE_LIMITS, ArchiveError, tooManyEntries } from "./archive-rules.js";
import type { SourceFiles } from "./source-files.js";

const BLOCK = 512;
/** Of a mode. */
const OWNER_EXECUTE = 0o100;
/** An extended header holds a path or two; more is somebody's trick. */
const EXTENSION_BYTES = 64 * 1024;

/** Types of entry (POSIX ustar, pax; GNU's long names). Everything else is refused by name. */
const FORBIDDEN: Readonly<Record<string, string>> = {
	"1": "a hard link",
	"2": "a symbolic link",
	"3": "a character device",
	"4": "a block device",
	"6": "a FIFO",
};

/** What an extended header says about the entry after it. */
interface Extension {
	path?: string;
	size?: number;
}

/** Reads a tar: ustar, pax (`path`, `size`) and GNU long names. @throws ArchiveError */
export function readTar(tar: Buffer, files: SourceFiles): void {
	let extension: Extension = {};
	let headers = 0;
	for (let offset = 0; offset + BLOCK <= tar.length; ) {
		const header = tar.subarray(offset, offset + BLOCK);
		if (header.every((byte) => byte === 0)) return;
		// Extended headers aren't entries, but they don't come for free either.
		if (++headers > 4 * ARCHIVE_LIMITS.entries) throw tooManyEntries();
		checkSum(header, headers);
		const type = String.fromCharCode(header[156] as number);
		const name = extension.path ?? nameOf(header);
		const size = extension.size ?? numberAt(header, 124, 12, name);
		const start = offset + BLOCK;
		if (start + size > tar.length) throw new ArchiveError(name, "is cut off: the tar ends within it; pack it and send it again");
		const body = tar.subarray(start, start + size);
		offset = start + Math.ceil(size / BLOCK) * BLOCK;
		if (type === "x" || type === "L") extension = { ...extension, ...extensionOf(type, body, name) };
		else if (type !== "g") {
			addEntry(files, type, name, body, (numberAt(header, 100, 8, name) & OWNER_EXECUTE) !== 0);
			extension = {};
		}
	}
	if (headers === 0) throw notTar();
}

function addEntry(files: SourceFiles, type: string, name: string, body: Buffer, executable: boolean): void {
	if (type === "5") files.addDirectory(name);
	else if (type === "0" || type === "\0") files.addFile(name, body, executable);
	else
		throw new ArchiveError(
			name,
			`is ${FORBIDDEN[type] ?? `an entry of type ${JSON.stringify(type)}`}; only files and directories are allowed`,
		);
}

function extensionOf(type: "x" | "L", body: Buffer, name: string): Extension {
	if (body.length > EXTENSION_BYTES) throw new ArchiveError(name, `has an extended header of more than ${EXTENSION_BYTES} bytes`);
	if (type === "L") return { path: textOf(body.subarray(0, endOf(body)), name) };
	return paxRecords(body, name);
}

/** Records of `length key=value\n`, where the length counts itself. */
function paxRecords(body: Buffer, name: string): Extension {
	const extension: Extension = {};
	for (let offset = 0; offset < body.length; ) {
		const space = body.indexOf(0x20, offset);
		const length = Number(body.toString("latin1", offset, space));
		const end = offset + length;
		if (space < 0 || !Number.isSafeInteger(length) || end <= space || end > body.length || body[end - 1] !== 0x0a) {
			throw new ArchiveError(name, "has a malformed extended header");
		}
		const record = textOf(body.subarray(space + 1, end - 1), name);
		const equals = record.indexOf("=");
		const value = record.slice(equals + 1);
		if (record.startsWith("path=")) extension.path = value;
		if (record.startsWith("size=")) extension.size = sizeOf(value, name);
		offset = end;
	}
	return extension;
}

function sizeOf(digits: string, name: string): number {
	if (!/^\d{1,12}$/.test(digits)) throw new ArchiveError(name, "has a malformed size");
	return Number(digits);
}

function checkSum(header: Buffer, nth: number): void {
	let sum = 8 * 0x20;
	for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] as number;
	const stated = Number.parseInt(header.toString("latin1", 148, 156).replace(/[\0 ]+$/, ""), 8);
	if (sum === stated) return;
	throw nth === 1 ? notTar() : new ArchiveError(undefined, "is damaged: a header's checksum is wrong; pack it and send it again");
}

function notTar(): ArchiveError {
	return new ArchiveError(
		undefined,
		"is gzip, but what is in it isn't a tar; pack it with `tar -czf`, or send a single file as `source` in JSON",
	);
}

function nameOf(header: Buffer): string {
	const field = (at: number, length: number) => header.subarray(at, at + length);
	const text = (bytes: Buffer) => textOf(bytes.subarray(0, endOf(bytes)), bytes.toString("latin1"));
	const name = text(field(0, 100));
	// GNU's own format keeps times where ustar has a prefix.
	const isUstar = header.toString("latin1", 257, 263) === "ustar\0";
	const prefix = isUstar ? text(field(345, 155)) : "";
	return prefix === "" ? name : `${prefix}/${name}`;
}

function endOf(bytes: Buffer): number {
	const end = bytes.indexOf(0);
	return end < 0 ? bytes.length : end;
}

/** Octal digits, padded with spaces or NULs. Base 256 is for sizes that aren't allowed anyway. */
function numberAt(header: Buffer, at: number, length: number, name: string | undefined): number {
	const digits = header
		.toString("latin1", at, at + length)
		.replace(/[\0 ]+$/, "")
		.trimStart();
	if (!/^[0-7]*$/.test(digits)) throw new ArchiveError(name, "has a malformed number in its header");
	return digits === "" ? 0 : Number.parseInt(digits, 8);
}

function textOf(bytes: Buffer, name: string): string {
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
	} catch {
		throw new ArchiveError(name, "has a name that isn't UTF-8");
	}
}
