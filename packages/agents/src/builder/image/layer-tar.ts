import { ArchiveError } from "../archive-rules.js";

const BLOCK = 512;
const EXTENSION_BYTES = 64 * 1024;

/** An entry of a layer as its tar has it: nothing about it is checked but that it is there whole. */
export interface TarHeader {
	readonly name: string;
	readonly type: string;
	readonly mode: number;
	readonly size: number;
	/** Of a link. */
	readonly target: string;
	/** Where its bytes are. */
	readonly at: number;
}

interface Extension {
	path?: string;
	linkpath?: string;
	size?: number;
}

/** Headers of a tar: ustar, pax (`path`, `linkpath`, `size`), GNU's long names. @throws ArchiveError */
export function* headersOf(tar: Buffer): Generator<TarHeader, void> {
	let extension: Extension = {};
	for (let offset = 0; offset + BLOCK <= tar.length; ) {
		const header = tar.subarray(offset, offset + BLOCK);
		if (header.every((byte) => byte === 0)) return;
		checkSum(header);
		const type = String.fromCharCode(header[156] as number);
		const size = extension.size ?? numberAt(header, 124, 12);
		const at = offset + BLOCK;
		if (at + size > tar.length) throw new ArchiveError(undefined, "has a layer that is cut off: its tar ends within an entry");
		offset = at + Math.ceil(size / BLOCK) * BLOCK;
		if (type === "x") extension = { ...extension, ...paxRecords(extensionAt(tar, at, size)) };
		else if (type === "L") extension = { ...extension, path: textOf(extensionAt(tar, at, size)) };
		else if (type === "K") extension = { ...extension, linkpath: textOf(extensionAt(tar, at, size)) };
		else if (type !== "g") {
			const name = extension.path ?? nameOf(header);
			const target = extension.linkpath ?? textOf(header.subarray(157, 257));
			// A link that says it has bytes, as some writers do, has none.
			yield { name, type, mode: numberAt(header, 100, 8), size, target, at };
			extension = {};
		}
	}
}

function extensionAt(tar: Buffer, at: number, size: number): Buffer {
	if (size > EXTENSION_BYTES) throw new ArchiveError(undefined, `has an extended header of more than ${EXTENSION_BYTES} bytes`);
	return tar.subarray(at, at + size);
}

/** Records of `length key=value\n`, where the length counts itself (POSIX.1-2017, pax). */
function paxRecords(body: Buffer): Extension {
	const extension: Extension = {};
	for (let offset = 0; offset < body.length; ) {
		const space = body.indexOf(0x20, offset);
		const length = Number(body.toString("latin1", offset, space));
		const end = offset + length;
		if (space < 0 || !Number.isSafeInteger(length) || end <= space || end > body.length) throw damaged();
		const record = textOf(body.subarray(space + 1, end - 1));
		const value = record.slice(record.indexOf("=") + 1);
		if (record.startsWith("path=")) extension.path = value;
		if (record.startsWith("linkpath=")) extension.linkpath = value;
		if (record.startsWith("size=")) extension.size = sizeOf(value);
		offset = end;
	}
	return extension;
}

function sizeOf(digits: string): number {
	if (!/^\d{1,12}$/.test(digits)) throw damaged();
	return Number(digits);
}

function checkSum(header: Buffer): void {
	let sum = 8 * 0x20;
	for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] as number;
	if (sum !== Number.parseInt(header.toString("latin1", 148, 156).replace(/[\0 ]+$/, ""), 8)) throw damaged();
}

function damaged(): ArchiveError {
	return new ArchiveError(undefined, "is damaged, or isn't a tar: a header of it makes no sense");
}

function nameOf(header: Buffer): string {
	const name = textOf(header.subarray(0, 100));
	const prefix = header.toString("latin1", 257, 263) === "ustar\0" ? textOf(header.subarray(345, 500)) : "";
	return prefix === "" ? name : `${prefix}/${name}`;
}

function numberAt(header: Buffer, at: number, length: number): number {
	const digits = header
		.toString("latin1", at, at + length)
		.replace(/[\0 ]+$/, "")
		.trimStart();
	if (!/^[0-7]*$/.test(digits)) throw damaged();
	return digits === "" ? 0 : Number.parseInt(digits, 8);
}

function textOf(bytes: Buffer): string {
	const end = bytes.indexOf(0);
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(end < 0 ? bytes : bytes.subarray(0, end));
	} catch {
		throw new ArchiveError(undefined, "has a name in it that isn't UTF-8");
	}
}
