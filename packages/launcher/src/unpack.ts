import { type FileHandle, mkdir, open, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";

const BLOCK = 512;
const COPY_BYTES = 1024 * 1024;
const SYNCED_AT_ONCE = 32;
const REGULAR = "0";
const DIRECTORY = "5";
const LINK = "2";

/**
 * Unpacks a layer as our builder writes it: ustar, plain files, directories and symbolic links only. Anything else
 * (hard links, devices, extended headers, absolute or `..` names) ends it: this runs as root and knows as
 * little as it can. Links are made when everything else is there, and nothing may be below one: none is ever followed.
 * Modes become 0644 or 0755 (1777 for a directory that says so), owner root.
 * Everything is on disk when it resolves: whoever gives the directory its name then names it whole, also
 * when the power fails a moment later.
 * @throws Error naming the entry
 */
export async function unpackLayer(tar: string, directory: string): Promise<void> {
	await mkdir(directory, { mode: 0o755 });
	await using source = await open(tar, "r");
	const made = new Set([directory]);
	const links = new Map<string, string>();
	const header = Buffer.alloc(BLOCK);
	for (let offset = 0; ; ) {
		const { bytesRead } = await source.read(header, 0, BLOCK, offset);
		if (bytesRead < BLOCK) throw new Error("the layer ends within a header");
		if (header.every((byte) => byte === 0)) break;
		const entry = readHeader(header);
		offset += BLOCK;
		const target = join(directory, entry.name.replace(/\/$/, ""));
		if (entry.type === LINK) {
			await mkdir(dirname(target), { recursive: true, mode: 0o755 });
			links.set(target, entry.linkTarget);
		} else if (entry.type === DIRECTORY) await makeDirectory(target, entry.mode);
		else await writeFile(source, offset, entry.size, target, entry.mode);
		offset += Math.ceil(entry.size / BLOCK) * BLOCK;
		for (let path = entry.type === LINK ? dirname(target) : target; !made.has(path); path = dirname(path)) made.add(path);
	}
	await makeLinks(links);
	await syncAll([...made]);
}

/** What is below a link would be wherever that leads: there is nothing below one, as each is a name that nothing has yet. */
async function makeLinks(links: ReadonlyMap<string, string>): Promise<void> {
	for (const path of links.keys()) {
		for (let above = dirname(path); above.length > 1; above = dirname(above)) {
			if (links.has(above)) throw new Error(`${path}: it is below a link`);
		}
	}
	// A file or a directory of a link's name was made before it: symlink(2) replaces nothing.
	for (const [path, target] of links) await symlink(target, path);
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
	readonly type: typeof REGULAR | typeof DIRECTORY | typeof LINK;
	/** Of a link: what it says, which nothing here looks at. */
	readonly linkTarget: string;
	readonly mode: number;
	readonly size: number;
}

function readHeader(header: Buffer): Entry {
	const prefix = text(header, 345, 155);
	const name = prefix === "" ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`;
	const type = String.fromCharCode(header[156] as number);
	if (type !== REGULAR && type !== DIRECTORY && type !== LINK)
		throw new Error(`${name}: a layer holds only files, directories and symbolic links (type ${type})`);
	const parts = name.replace(/\/$/, "").split("/");
	if (name.startsWith("/") || parts.some((part) => part === ".." || part === "")) throw new Error(`${name}: not a relative path`);
	const linkTarget = text(header, 157, 100);
	if (type === LINK && linkTarget === "") throw new Error(`${name}: a link that leads nowhere`);
	return { name, type, linkTarget, mode: octal(header, 100, 8), size: type === REGULAR ? octal(header, 124, 12) : 0 };
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
