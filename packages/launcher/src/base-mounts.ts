import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { type Digest, MOUNTS_PATH, SANDBOX_PATHS } from "@berth/contracts";
import type { LayerStore } from "./layers.js";
import { MS, mount, unmount } from "./syscalls.js";

/**
 * The root file systems: one read-only overlay for each base, mounted once and shared by all its
 * sandboxes. They live in this process's mount namespace and end with it.
 */
export class BaseMounts {
	readonly #directory: string;
	readonly #layers: LayerStore;
	readonly #mounted = new Map<string, { readonly path: string; readonly layers: readonly Digest[] }>();

	constructor(directory: string, layers: LayerStore) {
		this.#directory = join(directory, "bases");
		this.#layers = layers;
		mkdirSync(this.#directory, { recursive: true, mode: 0o711 });
	}

	/** The root file system made of these layers, bottom first. */
	rootfs(base: readonly Digest[]): string {
		const key = base.join();
		const known = this.#mounted.get(key);
		if (known !== undefined) return known.path;
		const path = join(this.#directory, createHash("sha256").update(key).digest("hex").slice(0, 16));
		mkdirSync(path, { recursive: true, mode: 0o755 });
		try {
			this.#mount(path, base);
		} catch (error) {
			// Nothing stays of what can't be: any digests may be asked for.
			rmdirSync(path);
			throw error;
		}
		this.#mounted.set(key, { path, layers: base });
		return path;
	}

	#mount(path: string, base: readonly Digest[]): void {
		mount("overlay", path, "overlay", MS.rdonly | MS.nodev | MS.nosuid, overlayOptions(this.#layers, base));
		try {
			// A base that came with a pulled image is a stranger's.
			checkMountPoints(path);
		} catch (error) {
			unmount(path);
			throw error;
		}
	}

	/** Layers of every base that is mounted. */
	layers(): readonly Digest[] {
		return [...this.#mounted.values()].flatMap(({ layers }) => layers);
	}
}

/** Overlay wants its layers top first, and at least two of them when nothing is written. */
export function overlayOptions(layers: LayerStore, digests: readonly Digest[]): string {
	return optionsOf(
		layers,
		digests.map((digest) => layers.path(digest)),
	);
}

/**
 * The same for the directory of the function's code in layers of its own, which are those of a whole root file system. What a layer
 * has in its place (a link would be followed, by root) is refused. @throws Error naming the layer
 */
export function codeOverlayOptions(layers: LayerStore, digests: readonly Digest[]): string {
	return optionsOf(
		layers,
		digests.map((digest) => codeIn(layers.path(digest))),
	);
}

function optionsOf(layers: LayerStore, paths: readonly string[]): string {
	return `lowerdir=${[...paths.toReversed(), layers.emptyLayer].join(":")}`;
}

function codeIn(layer: string): string {
	let path = layer;
	for (const name of SANDBOX_PATHS.code.split("/").filter(Boolean)) {
		path = join(path, name);
		if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true)
			throw new Error(`${path} isn't a directory: no layer of a function`);
	}
	return path;
}

/** Where a container has something mounted; a base has its agent at the place where an image has the base. */
const MOUNT_POINTS = ["proc", "dev", "tmp", SANDBOX_PATHS.imageBase, SANDBOX_PATHS.graft, SANDBOX_PATHS.socket];

/**
 * The OCI runtime mounts there as root: each has to be there, and no part of its path may be a link, wherever that would lead.
 * What was looked at stays: the root is read-only, and its layers are ours. @throws Error naming the path
 */
export function checkMountPoints(root: string): void {
	for (const point of MOUNT_POINTS) {
		let path = root;
		const names = point.split("/").filter(Boolean);
		for (const [at, name] of names.entries()) {
			path = join(path, name);
			const stat = lstatSync(path, { throwIfNoEntry: false });
			const isFile = point === SANDBOX_PATHS.socket && at === names.length - 1;
			if ((isFile ? stat?.isFile() : stat?.isDirectory()) !== true)
				throw new Error(
					`/${names.slice(0, at + 1).join("/")} of the root isn't a ${isFile ? "file" : "directory"}: nothing can be mounted there`,
				);
		}
	}
}

/** Whether a root has a place for volumes: one that was made before there were any hasn't, and what a link leads to isn't one. */
export function hasMountsPath(root: string): boolean {
	return lstatSync(join(root, MOUNTS_PATH), { throwIfNoEntry: false })?.isDirectory() === true;
}
