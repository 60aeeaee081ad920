import { execFile } from "node:child_process";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const SIZE = 48 * 1024 * 1024;

/** A disk of its own, whose power can be cut: what was written and never synced isn't on it then. As root. */
export class LoopDisk implements AsyncDisposable {
	/** Where its files are. */
	readonly path: string;
	readonly #home: string;
	#cuts = 0;

	private constructor(home: string) {
		this.#home = home;
		this.path = join(home, "mounted");
	}

	static async make(): Promise<LoopDisk> {
		const disk = new LoopDisk(await mkdtemp(join(tmpdir(), "disk-")));
		const image = join(disk.#home, "image");
		await writeFile(image, "");
		await truncate(image, SIZE);
		await run("mkfs.ext4", ["-q", "-F", image]);
		await run("mkdir", [disk.path]);
		await run("mount", ["-o", "loop", image, disk.path]);
		return disk;
	}

	/** Gives `look` what would be on it had its power been cut now: whoever writes to it is stopped meanwhile. */
	async whenCut<T>(look: (path: string) => Promise<T>): Promise<T> {
		const after = join(this.#home, `cut-${this.#cuts++}`);
		await run("cp", ["--sparse=always", join(this.#home, "image"), `${after}.image`]);
		await run("mkdir", [after]);
		await run("mount", ["-o", "loop", `${after}.image`, after]);
		try {
			return await look(after);
		} finally {
			await run("umount", [after]);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await run("umount", [this.path]);
		await rm(this.#home, { recursive: true, force: true });
	}
}
