import { closeSync, constants, fstatSync, openSync, realpathSync } from "node:fs";
import { HostError } from "../host-error.js";
import { whyNoMountAttributes } from "./detached-mounts.js";

const O_PATH = 0o10000000;

/** Directories of the host that functions may have, by the operator's names for them. Each is held open from our start on. */
export class Binds {
	readonly #directories = new Map<string, number>();

	/**
	 * @param paths by name. @param dataDir nothing of it may be had, nor what it is in
	 * @throws HostError naming the one that isn't a directory
	 */
	constructor(paths: Readonly<Record<string, string>>, dataDir: string) {
		const missing = Object.keys(paths).length === 0 ? undefined : whyNoMountAttributes();
		if (missing !== undefined) throw new HostError(`BERTH_BINDS can't be had on this host: ${missing}`);
		const ours = realpathSync(dataDir);
		for (const [name, path] of Object.entries(paths)) this.#directories.set(name, openChecked(name, path, ours));
	}

	get names(): readonly string[] {
		return [...this.#directories.keys()];
	}

	/** A descriptor of ours. @throws Error when the operator has no such name */
	directory(name: string): number {
		const fd = this.#directories.get(name);
		if (fd === undefined) throw new Error(`the operator has no directory of the name ${name} (BERTH_BINDS)`);
		return fd;
	}
}

function openChecked(name: string, path: string, dataDir: string): number {
	let fd: number;
	let real: string;
	try {
		real = realpathSync(path);
		fd = openSync(real, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
	} catch (error) {
		throw new HostError(`BERTH_BINDS names ${path} as ${name}, which can't be opened as a directory: ${(error as Error).message}`);
	}
	if (!isWithin(real, dataDir) && !isWithin(dataDir, real) && fstatSync(fd).isDirectory()) return fd;
	closeSync(fd);
	throw new HostError(`BERTH_BINDS names ${path} as ${name}, in which functions would find Berth's own data directory (or which is in it)`);
}

function isWithin(path: string, directory: string): boolean {
	return `${path}/`.startsWith(directory === "/" ? "/" : `${directory}/`);
}
