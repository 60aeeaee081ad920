import { IMAGE_LIMITS } from "@berth/contracts/agent";
import { ArchiveError } from "../archive-rules.js";
import { headersOf, type TarHeader } from "./layer-tar.js";

/** A place of the merged tree. Whoever owned it, whatever else its mode said and which time it was is left out. */
export type Node =
	| { readonly kind: "directory"; readonly children: Map<string, Node> }
	| { readonly kind: "file"; readonly bytes: Buffer; readonly executable: boolean }
	| { readonly kind: "link"; readonly target: string };
export type Directory = Extract<Node, { kind: "directory" }>;

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";

export const directory = (): Directory => ({ kind: "directory", children: new Map() });

/**
 * An image's layers, lowest first, as the one tree that they make (OCI image spec, layer.md): what a whiteout names of the layers
 * below isn't there, a hard link is another file with the same bytes, and devices, FIFOs and sockets are left out. Nothing is
 * written, and no link is followed: a path that leads through one replaces it by a directory. @throws ArchiveError
 */
export function mergeLayers(layers: readonly Buffer[]): Directory {
	const root = directory();
	let entries = 0;
	for (const layer of layers) {
		const headers: (TarHeader & { readonly path: readonly string[] })[] = [];
		for (const header of headersOf(layer)) {
			if (++entries > IMAGE_LIMITS.entries)
				throw new ArchiveError(undefined, `has more than ${IMAGE_LIMITS.entries} entries in its layers, the most there may be`);
			headers.push({ ...header, path: pathOf(header.name) });
		}
		// First: they are about the layers below, wherever in this one they stand.
		for (const { path } of headers) applyWhiteout(root, path);
		for (const header of headers) {
			if (header.path.at(-1)?.startsWith(WHITEOUT) !== true) place(root, layer, header, header.path);
		}
	}
	return root;
}

function applyWhiteout(root: Directory, path: readonly string[]): void {
	const name = path.at(-1);
	if (name?.startsWith(WHITEOUT) !== true) return;
	const parent = find(root, path.slice(0, -1));
	if (parent?.kind !== "directory") return;
	if (name === OPAQUE) parent.children.clear();
	else parent.children.delete(name.slice(WHITEOUT.length));
}

function place(root: Directory, layer: Buffer, { name, type, mode, size, target, at }: TarHeader, path: readonly string[]): void {
	const last = path.at(-1);
	if (type === "5") {
		enter(root, path);
		return;
	}
	if (last === undefined) throw new ArchiveError(name, "is no name for anything but a directory");
	const { children } = enter(root, path.slice(0, -1));
	if (type === "0" || type === "7" || type === "\0") {
		children.set(last, { kind: "file", bytes: layer.subarray(at, at + size), executable: (mode & 0o111) !== 0 });
	} else if (type === "2") {
		if (target === "") throw new ArchiveError(name, "is a symbolic link that leads nowhere");
		children.set(last, { kind: "link", target });
	} else if (type === "1") {
		const linked = find(root, pathOf(target));
		if (linked === undefined || linked.kind === "directory")
			throw new ArchiveError(name, `is a hard link to ${JSON.stringify(target.slice(0, 200))}, which is no file of the image`);
		children.set(last, linked);
	} else if (!["3", "4", "6"].includes(type)) {
		throw new ArchiveError(name, `is an entry of type ${JSON.stringify(type)}, which no layer has`);
	}
}

/** The directory of this path, made where there is none; what else is in its place goes. */
function enter(root: Directory, path: readonly string[]): Directory {
	let at = root;
	for (const name of path) {
		let next = at.children.get(name);
		if (next?.kind !== "directory") {
			next = directory();
			at.children.set(name, next);
		}
		at = next;
	}
	return at;
}

function find(root: Directory, path: readonly string[]): Node | undefined {
	let at: Node | undefined = root;
	for (const name of path) at = at?.kind === "directory" ? at.children.get(name) : undefined;
	return at;
}

/** Layers name the root in more than one way (`./etc`, `/etc`); none of them leads out of it. */
function pathOf(name: string): readonly string[] {
	const parts = name.split("/").filter((part) => part !== "" && part !== ".");
	if (parts.includes("..")) throw new ArchiveError(name, "leads out of the image with `..`");
	if (parts.length > IMAGE_LIMITS.depth) throw new ArchiveError(name, `is deeper than ${IMAGE_LIMITS.depth} names`);
	return parts;
}
