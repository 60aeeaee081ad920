/** What stands at which byte of a header block, and how long it is (POSIX.1-2017, pax, "ustar Interchange Format"). */
export const USTAR = {
	block: 512,
	name: { at: 0, bytes: 100 },
	mode: { at: 100, bytes: 8 },
	uid: { at: 108, bytes: 8 },
	gid: { at: 116, bytes: 8 },
	size: { at: 124, bytes: 12 },
	time: { at: 136, bytes: 12 },
	checksum: { at: 148, bytes: 8 },
	type: { at: 156, bytes: 1 },
	magic: { at: 257, bytes: 8 },
	prefix: { at: 345, bytes: 155 },
} as const;

export const MAGIC = "ustar\x0000";

type Field = Exclude<keyof typeof USTAR, "block">;

/** The header of a plain file, or of a directory when its name ends with a slash. Owner and time are 0. */
export function ustarHeader(name: string, size: number): Buffer {
	const header = Buffer.alloc(USTAR.block);
	const isDirectory = name.endsWith("/");
	write(header, "name", name);
	writeNumber(header, "mode", isDirectory ? 0o755 : 0o644);
	for (const field of ["uid", "gid", "time"] as const) writeNumber(header, field, 0);
	writeNumber(header, "size", size);
	write(header, "type", isDirectory ? "5" : "0");
	write(header, "magic", MAGIC);
	seal(header);
	return header;
}

/** Bytes that follow a file of this size, up to the next block. */
export function padding(size: number): Buffer {
	return Buffer.alloc((USTAR.block - (size % USTAR.block)) % USTAR.block);
}

export function read(header: Buffer, field: Field): string {
	const { at, bytes } = USTAR[field];
	return header.toString("latin1", at, at + bytes);
}

/** Instead of what was there. */
export function write(header: Buffer, field: Field, text: string): void {
	const { at, bytes } = USTAR[field];
	header.fill(0, at, at + bytes);
	header.write(text, at, bytes, "latin1");
}

/** The sum over all bytes, in which its own are spaces. */
export function seal(header: Buffer): void {
	write(header, "checksum", " ".repeat(USTAR.checksum.bytes));
	const sum = header.reduce((total, byte) => total + byte, 0);
	write(header, "checksum", `${sum.toString(8).padStart(6, "0")}\0 `);
}

function writeNumber(header: Buffer, field: Field, value: number): void {
	write(header, field, `${value.toString(8).padStart(USTAR[field].bytes - 1, "0")}\0`);
}
