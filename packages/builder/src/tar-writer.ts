import { open } from "node:fs/promises";

const BLOCK = 512;
const COPY_BYTES = 1024 * 1024;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;

/** A file, directory or symbolic link of a layer: path relative to the layer's root, with `/`. */
export type LayerEntry =
	| { readonly path: string; readonly kind: "directory"; readonly mode?: 0o755 | 0o1777 }
	| { readonly path: string; readonly kind: "link"; readonly target: string }
	| { readonly path: string; readonly kind: "file"; readonly executable?: boolean; readonly content: FileContent };

/** Bytes in memory, or a file that is copied in (links are followed): all of it, or what stands from `at` on. */
export type FileContent = { readonly bytes: Uint8Array } | { readonly file: string; readonly sizeBytes: number; readonly at?: number };

/**
 * A layer as a ustar stream that depends on nothing but its entries: sorted by path, directories
 * before what is in them, owner 0, time 0, modes 0644, 0755 or 1777. Plain files, directories and symbolic links only;
 * names that ustar has no room for are refused, for the launcher reads no extended header.
 * @throws Error for a path that isn't one, is there twice, or is too long
 */
export async function* writeLayer(entries: readonly LayerEntry[]): AsyncGenerator<Uint8Array, void, undefined> {
	for (const entry of complete(entries)) {
		if (entry.kind === "directory") {
			yield header(`${entry.path}/`, "5", entry.mode ?? 0o755, 0);
			continue;
		}
		if (entry.kind === "link") {
			yield header(entry.path, "2", 0o777, 0, entry.target);
			continue;
		}
		const { content } = entry;
		const size = "bytes" in content ? content.bytes.byteLength : content.sizeBytes;
		yield header(entry.path, "0", entry.executable === true ? 0o755 : 0o644, size);
		if ("bytes" in content) yield content.bytes;
		else yield* fileBytes(content.file, content.at ?? 0, size);
		if (size % BLOCK !== 0) yield Buffer.alloc(BLOCK - (size % BLOCK));
	}
	yield Buffer.alloc(2 * BLOCK);
}

/** Sorted by bytes, with the directories that nobody named. */
function complete(entries: readonly LayerEntry[]): LayerEntry[] {
	const byPath = new Map<string, LayerEntry>();
	for (const entry of entries) {
		if (!isRelative(entry.path)) throw new Error(`${JSON.stringify(entry.path)} isn't a relative path`);
		if (byPath.has(entry.path)) throw new Error(`${JSON.stringify(entry.path)} is there twice`);
		byPath.set(entry.path, entry);
	}
	for (const { path } of entries) {
		for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
			const parent = path.slice(0, end);
			const known = byPath.get(parent);
			if (known === undefined) byPath.set(parent, { path: parent, kind: "directory" });
			else if (known.kind !== "directory") throw new Error(`${JSON.stringify(parent)} is a ${known.kind} and a directory`);
		}
	}
	return [...byPath.values()].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}

function isRelative(path: string): boolean {
	return path !== "" && !path.includes("\0") && path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

async function* fileBytes(path: string, at: number, size: number): AsyncGenerator<Uint8Array, void, undefined> {
	await using file = await open(path, "r");
	for (let done = 0; done < size; ) {
		const buffer = Buffer.allocUnsafe(Math.min(COPY_BYTES, size - done));
		const { bytesRead } = await file.read(buffer, 0, buffer.length, at + done);
		if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`);
		yield buffer.subarray(0, bytesRead);
		done += bytesRead;
	}
}

/** One header block (POSIX.1-2017, pax, "ustar Interchange Format"). */
function header(path: string, type: "0" | "2" | "5", mode: number, size: number, target = ""): Buffer {
	const block = Buffer.alloc(BLOCK);
	const split = splitName(path);
	if (split === undefined) throw new Error(`${JSON.stringify(path)} is too long for a layer`);
	const { prefix, name } = split;
	if (!fitsLink(target)) throw new Error(`${JSON.stringify(path)} leads to a longer path than a layer has room for`);
	block.write(name, 0, NAME_BYTES, "utf8");
	block.write(octal(mode, 8), 100, "latin1");
	block.write(octal(0, 8), 108, "latin1");
	block.write(octal(0, 8), 116, "latin1");
	block.write(octal(size, 12), 124, "latin1");
	block.write(octal(0, 12), 136, "latin1");
	block.write(" ".repeat(8), 148, "latin1");
	block.write(type, 156, "latin1");
	block.write(target, 157, NAME_BYTES, "utf8");
	block.write("ustar\x0000", 257, "latin1");
	block.write(prefix, 345, PREFIX_BYTES, "utf8");
	const sum = block.reduce((total, byte) => total + byte, 0);
	block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
	return block;
}

/** Whether a file's path has room in a layer. */
export function fitsLayer(path: string): boolean {
	return splitName(path) !== undefined;
}

/** Whether what a link leads to has room in a layer. */
export function fitsLink(target: string): boolean {
	return Buffer.byteLength(target) <= NAME_BYTES && !target.includes("\0");
}

function splitName(path: string): { readonly prefix: string; readonly name: string } | undefined {
	if (Buffer.byteLength(path) <= NAME_BYTES) return { prefix: "", name: path };
	for (let slash = path.indexOf("/"); slash > 0 && slash < path.length - 1; slash = path.indexOf("/", slash + 1)) {
		const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)];
		if (Buffer.byteLength(prefix) <= PREFIX_BYTES && Buffer.byteLength(name) <= NAME_BYTES) return { prefix, name };
	}
	return undefined;
}

function octal(value: number, width: number): string {
	const digits = value.toString(8);
	if (digits.length >= width) throw new Error(`${value} bytes don't fit into a layer's header`);
	return `${digits.padStart(width - 1, "0")}\0`;
}
