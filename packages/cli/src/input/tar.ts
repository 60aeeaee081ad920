/** A file of an archive. */
export interface ArchiveFile {
	/** Relative, with `/`. */
	readonly path: string;
	readonly bytes: Uint8Array;
	readonly executable: boolean;
}

const BLOCK = 512;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;

/**
 * A POSIX tar (pax interchange format, IEEE 1003.1 "pax") of the files, in the order of their paths' bytes and with
 * fixed owner, time and modes: the same files give the same bytes.
 */
export function tarOf(files: readonly ArchiveFile[]): Buffer {
	const sorted = files.toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
	const parts: Uint8Array[] = [];
	for (const file of sorted) {
		const name = splitName(file.path);
		if (name === undefined) {
			const record = Buffer.from(paxRecord("path", file.path));
			parts.push(header({ name: "pax", prefix: "" }, "x", record.length, 0o644), record, padding(record.length));
		}
		parts.push(header(name ?? { name: "long", prefix: "" }, "0", file.bytes.length, file.executable ? 0o755 : 0o644));
		parts.push(file.bytes, padding(file.bytes.length));
	}
	parts.push(Buffer.alloc(2 * BLOCK));
	return Buffer.concat(parts);
}

/** The path as ustar's prefix and name; undefined when it doesn't fit or isn't ASCII. */
function splitName(path: string): { name: string; prefix: string } | undefined {
	if (/[^\x20-\x7e]/.test(path)) return undefined;
	if (path.length <= NAME_BYTES) return { name: path, prefix: "" };
	const slash = path.indexOf("/", path.length - NAME_BYTES - 1);
	if (slash < 1 || slash > PREFIX_BYTES) return undefined;
	return { name: path.slice(slash + 1), prefix: path.slice(0, slash) };
}

/** `length key=value\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
	const rest = ` ${key}=${value}\n`;
	const bytes = Buffer.byteLength(rest);
	let length = bytes + String(bytes).length;
	if (String(length).length !== String(bytes).length) length = bytes + String(length).length;
	return `${length}${rest}`;
}

function header(path: { name: string; prefix: string }, type: "0" | "x", size: number, mode: number): Buffer {
	const block = Buffer.alloc(BLOCK);
	const octal = (value: number, at: number, width: number) => block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "ascii");
	block.write(path.name, 0, NAME_BYTES, "ascii");
	octal(mode, 100, 8);
	octal(0, 108, 8);
	octal(0, 116, 8);
	octal(size, 124, 12);
	octal(0, 136, 12);
	block.write("        ", 148, "ascii");
	block.write(type, 156, "ascii");
	block.write("ustar\u000000", 257, "ascii");
	block.write(path.prefix, 345, PREFIX_BYTES, "ascii");
	const sum = block.reduce((total, byte) => total + byte, 0);
	block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "ascii");
	return block;
}

function padding(size: number): Buffer {
	return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}
