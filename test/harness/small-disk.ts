import { execFile } from "node:child_process";
import { chmod, open, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { takeKeptBases } from "./kept-bases.js";

const run = promisify(execFile);
const MIB = 1024 * 1024;

/** A stack's data directory on a disk of its own, in memory: small enough to be filled. Who mounts it unmounts it, when the stack is down. */
export class SmallDisk {
	readonly #sizeMiB: number;
	#dataDir: string | undefined;

	constructor(sizeMiB: number) {
		this.#sizeMiB = sizeMiB;
	}

	/** Mounts it on a data directory that is empty; with the bases, as far as they are kept. */
	readonly prepare = async (dataDir: string): Promise<void> => {
		await run("mount", ["-t", "tmpfs", "-o", `size=${this.#sizeMiB}m`, "tmpfs", dataDir]);
		this.#dataDir = dataDir;
		await chmod(dataDir, 0o711);
		await takeKeptBases(dataDir);
	};

	isOf(dataDir: string): boolean {
		return this.#dataDir === dataDir;
	}

	async fill(): Promise<void> {
		await using file = await open(this.#filler, "w");
		for (;;) {
			const { bavail, bsize } = await statfs(this.#filler);
			if (bavail === 0) return;
			await file.write(Buffer.alloc(Math.min(bavail * bsize, 8 * MIB)));
		}
	}

	free(): Promise<void> {
		return rm(this.#filler, { force: true });
	}

	async unmount(): Promise<void> {
		if (this.#dataDir !== undefined) await run("umount", [this.#dataDir]);
	}

	get #filler(): string {
		if (this.#dataDir === undefined) throw new Error("it isn't mounted");
		return join(this.#dataDir, "filler");
	}
}
