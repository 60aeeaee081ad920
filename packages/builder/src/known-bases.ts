import { createHash } from "node:crypto";
import { lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { type Base, isDigest } from "@berth/contracts";
import type { LayerStores } from "./stored-layer.js";

/** By what they are for. */
type Bases = Readonly<Record<string, Base>>;

/** Where the loader finds libraries: it changes with what is installed. */
const LOADER_CACHE = "/etc/ld.so.cache";
/** The program that makes bases: another one may make others of the same files. */
const PROGRAM = import.meta.dirname;
/** OpenSSL's headers for each processor, nine tenths of the files of Node's: they come with a Node, whose binary is looked at. */
const PASSED_OVER = /\/openssl\/archs$/;
/** File systems may give times by the tick, milliseconds. */
const TICK_MS = 20;

/** Bases that an earlier start has made under this name, while the file system says that nothing they were made of has changed, and their layers are there. */
export async function findBases({ images, keys }: LayerStores, name: string): Promise<Bases | undefined> {
	const known = (await keys.get(name)) as { stamp?: unknown; inputs?: unknown; bases?: Bases } | undefined;
	if (known?.bases === undefined || !Array.isArray(known.inputs) || known.stamp !== lookAt(known.inputs).stamp) return undefined;
	for (const { layers } of Object.values(known.bases))
		for (const { digest, sizeBytes } of layers) if (!isDigest(digest) || (await images.blobSize(digest)) !== sizeBytes) return undefined;
	return known.bases;
}

/**
 * Remembers them, unless something was changed since it may have been read.
 * @param made paths of files, and of directories with all that is in them, that they were made of; @param sinceMs when the first was read, of the wall clock
 */
export async function rememberBases(
	{ keys }: LayerStores,
	name: string,
	made: Iterable<string>,
	sinceMs: number,
	bases: Bases,
): Promise<void> {
	const inputs = [...new Set([...made, LOADER_CACHE, PROGRAM])].sort();
	const { stamp, changedMs } = lookAt(inputs);
	if (changedMs < sinceMs - TICK_MS) await keys.put(name, { stamp, inputs, bases });
}

/**
 * What the file system says of them: sizes, and when each was changed last, which nobody can set back. Synchronously: a look at one of thousands of files takes
 * less than to wait for another thread's.
 */
function lookAt(inputs: readonly string[]): { readonly stamp: string; readonly changedMs: number } {
	const hash = createHash("sha256");
	let changedMs = 0;
	const look = (path: string) => {
		const stat = statSync(path, { throwIfNoEntry: false }) ?? lstatSync(path, { throwIfNoEntry: false });
		hash.update(`${path}\0${stat?.size},${stat?.ino},${stat?.mtimeMs},${stat?.ctimeMs}\0`);
		changedMs = Math.max(changedMs, stat?.ctimeMs ?? 0);
		return stat;
	};
	const visit = (directory: string) => {
		for (const found of readdirSync(directory, { withFileTypes: true })) {
			const path = `${directory}/${found.name}`;
			if (PASSED_OVER.test(path)) continue;
			look(path);
			if (found.isDirectory()) visit(path);
		}
	};
	for (const input of inputs) {
		const stat = look(input);
		if (stat?.isDirectory()) visit(input);
		else if (stat?.isFile()) hash.update(realpathSync(input));
	}
	return { stamp: hash.digest("hex"), changedMs };
}
