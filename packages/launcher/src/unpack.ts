import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";

const BLOCK = 512;
const COPY_BYTES = 1024 * 1024;
const SYNCED_AT_ONCE = 32;
const REGULAR = "0";
const DIRECTORY = "5";

/**
 * Unpacks a layer as our builder writes it: ustar, plain files and directories only. Anything else
 * (links, devices, extended headers, absolute or `..` names) ends it: this runs as root and knows as
 * little as it can. Modes become 0644 or 0755 (1777 for a directory that says so), owner root.
 * Everything is on disk when it resolves: whoever gives the directory its name then names it whole, also
 * when the power fails a moment later.
 * @throws Error naming the entry
 */
export async function unpackLayer(tar: string, directory: string): Promise<void> {
	await mkdir(directory, { mode: 0o755 });
	await using source = await open(tar, "r");
	const made = new Set([directory]);
	const header = Buffer.alloc(BLOCK);
	for (let offset = 0; ; ) {
		const { bytesRead } = await source.read(header, 0, BLOCK, offset);
		if (bytesRead < BLOCK) throw new Error("the layer ends within a header");
		if (header.every((byte) => byte === 0)) break;
		const entry = readHeader(header);
		offset += BLOCK;
		const target = join(directory, entry.name.replace(/\/$/, ""));
		if (entry.type === DIRECTORY) await makeDirectory(target, entry.mode);
		else await writeFile(source, offset, entry.size, target, entry.mode);
		offset += Math.ceil(entry.size / BLOCK) * BLOCK;
		for (let path = target; !made.has(path); path = dirname(path)) made.add(path);
	}
	await syncAll([...made]);
}

/** Of its own files alone, some at a time: 1 ms for a code layer, where syncfs(2) also waits for what everybody else has written. */
async function syncAll(paths: readonly string[]): Promise<void> {
	for (let at = 0; at < paths.length; at += SYNCED_AT_ONCE) {
		await Promise.all(
			paths.slice(at, at + SYNCED_AT_ONCE).map(async (path) => {
				await using handle = await open(path, "r");
				await handle.sync();
			}),
		);
	}
}

interface Entry {
	readonly name: string;
	readonly type: typeof REGULAR | typeof DIRECTORY;
	readonly mode: number;
	readonly size: number;
}

function readHeader(header: Buffer): Entry {
	const prefix = text(header, 345, 155);
	const name = prefix === "" ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`;
	const type = String.fromCharCode(header[156] as number);
	if (type !== REGULAR && type !== DIRECTORY) throw new Error(`${name}: a layer holds only files and directories (type ${type})`);
	const parts = name.replace(/\/$/, "").split("/");
	if (name.startsWith("/") || parts.some((part) => part === ".." || part === "")) throw new Error(`${name}: not a relative path`);
	return { name, type, mode: octal(header, 100, 8), size: type === DIRECTORY ? 0 : octal(header, 124, 12) };
}

async function makeDirectory(path: string, mode: number): Promise<void> {
	await mkdir(path, { recursive: true, mode: 0o755 });
	await using handle = await open(path, "r");
	await handle.chmod((mode & 0o1777) === 0o1777 ? 0o1777 : 0o755);
}

async function writeFile(source: FileHandle, from: number, size: number, path: string, mode: number): Promise<void> {
	await mkdir(dirname(path), { recursive: true, mode: 0o755 });
	await using target = await open(path, "wx", 0o600);
	const buffer = Buffer.allocUnsafe(Math.min(size, COPY_BYTES));
	for (let done = 0; done < size; ) {
		const { bytesRead } = await source.read(buffer, 0, Math.min(buffer.length, size - done), from + done);
		if (bytesRead === 0) throw new Error(`${path}: the layer ends within the file`);
		await target.appendFile(buffer.subarray(0, bytesRead));
		done += bytesRead;
	}
	await target.chmod((mode & 0o111) === 0 ? 0o644 : 0o755);
}

function text(header: Buffer, at: number, length: number): string {
	const end = header.indexOf(0, at);
	return header.toString("utf8", at, end < 0 || end > at + length ? at + length : end);
}

function octal(header: Buffer, at: number, length: number): number {
	const digits = text(header, at, length).trim();
	if (!/^[0-7]+$/.test(digits)) throw new Error(`a header's number is ${JSON.stringify(digits)}`);
	return Number.parseInt(digits, 8);
}
