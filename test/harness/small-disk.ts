import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, open, readFile, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { takeKeptBases } from "./kept-bases.js";

const run = promisify(execFile);
const MIB = 1024 * 1024;
/** Of a disk of ours in /proc/mounts: the pid of whoever mounted it, and where. */
const OURS = /^berth-test-(\d+) (\S+) tmpfs /;

/** A stack's data directory on a disk of its own, in memory: small enough to be filled. Who mounts it unmounts it, when the stack is down. */
export class SmallDisk {
	readonly #sizeMiB: number;
	#dataDir: string | undefined;

	constructor(sizeMiB: number) {
		this.#sizeMiB = sizeMiB;
	}

	/** Mounts it on a data directory that is empty; with the bases, as far as they are kept. */
	readonly prepare = async (dataDir: string): Promise<void> => {
		await sweep();
		await run("mount", ["-t", "tmpfs", "-o", `size=${this.#sizeMiB}m`, `berth-test-${process.pid}`, dataDir]);
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

/** Takes away what runs left that were killed: what was on it went with their stacks. */
async function sweep(): Promise<void> {
	for (const line of (await readFile("/proc/mounts", "utf8")).split("\n")) {
		const [, pid, directory] = OURS.exec(line) ?? [];
		if (directory === undefined || existsSync(`/proc/${pid}`)) continue;
		await run("umount", [directory]);
		await rm(directory, { recursive: true });
	}
}
