import { createHash, randomUUID } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { chown, type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Digest } from "@berth/contracts";
import { writeError } from "./disk-full.js";

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/** What a file is made of. */
export type Bytes = Uint8Array | AsyncIterable<Uint8Array>;

/** Bytes on disk that have no name yet. Whoever staged them calls `place` or `discard`. */
export interface Staged {
	readonly digest: Digest;
	readonly sizeBytes: number;
	/** Gives them their name, replacing what had it; durable when it resolves. */
	place(target: string): Promise<void>;
	discard(): Promise<void>;
}

/** A file without a name. Whoever made it disposes of it. */
export interface ScratchFile extends AsyncDisposable {
	readonly path: string;
	readonly sizeBytes: number;
	/** One after the other: the pieces stand in the order in which they are given. */
	append(bytes: Uint8Array): Promise<void>;
}

/**
 * Puts files in place whole or not at all: written beside, fsynced, renamed, directory fsynced.
 * The incoming directory has to be in the file system of the targets. A disk that is full is `storage_full`, and nothing
 * half-written stays.
 */
export class Deposit {
	readonly #incoming: string;
	readonly #owner: number | undefined;

	private constructor(incoming: string, owner: number | undefined) {
		this.#incoming = incoming;
		this.#owner = owner;
	}

	static async open(incoming: string, owner: number | undefined): Promise<Deposit> {
		const deposit = new Deposit(incoming, owner);
		await deposit.directory(incoming);
		await removeLeftovers(incoming);
		return deposit;
	}

	/** Makes a directory, and its parents, where they are missing. */
	async directory(path: string): Promise<void> {
		const first = await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
		if (first === undefined || this.#owner === undefined) return;
		for (let made = path; made.length >= first.length; made = dirname(made)) await chown(made, this.#owner, this.#owner);
	}

	/** Writes bytes under a temporary name and hashes them on the way. */
	async stage(bytes: Bytes): Promise<Staged> {
		const path = join(this.#incoming, `${process.pid}.${randomUUID()}`);
		const discard = () => rm(path, { force: true });
		try {
			const written = await this.#write(path, bytes);
			return { ...written, discard, place: (target) => placeDurably(path, target) };
		} catch (error) {
			await discard();
			throw writeError(error);
		}
	}

	/** A file that is written piece by piece and read, and never gets a name: it goes when it is disposed of. */
	async scratch(): Promise<ScratchFile> {
		const path = join(this.#incoming, `${process.pid}.${randomUUID()}`);
		const file = await this.create(path);
		let sizeBytes = 0;
		return {
			path,
			get sizeBytes() {
				return sizeBytes;
			},
			async append(bytes) {
				await file.appendFile(bytes).catch((error: unknown) => {
					throw writeError(error);
				});
				sizeBytes += bytes.byteLength;
			},
			async [Symbol.asyncDispose]() {
				await file.close();
				await rm(path, { force: true });
			},
		};
	}

	/** Stages and places in one step. */
	async write(target: string, bytes: Bytes): Promise<void> {
		const staged = await this.stage(bytes);
		try {
			await staged.place(target);
		} finally {
			await staged.discard();
		}
	}

	/** Opens a new file under its own name, for what needn't survive a power cut. @throws when it exists */
	async create(path: string): Promise<FileHandle> {
		const file = await open(path, "wx", FILE_MODE);
		await this.#give(file);
		return file;
	}

	async #write(path: string, bytes: Bytes): Promise<{ digest: Digest; sizeBytes: number }> {
		const hash = createHash("sha256");
		let sizeBytes = 0;
		await using file = await this.create(path);
		for await (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) {
			hash.update(chunk);
			sizeBytes += chunk.byteLength;
			await file.writeFile(chunk);
		}
		await file.sync();
		return { digest: `sha256:${hash.digest("hex")}`, sizeBytes };
	}

	/** The mode is set again because a umask may have taken some of it. */
	async #give(file: FileHandle): Promise<void> {
		await file.chmod(FILE_MODE);
		if (this.#owner !== undefined) await file.chown(this.#owner, this.#owner);
	}
}

async function placeDurably(from: string, target: string): Promise<void> {
	await rename(from, target).catch((error: unknown) => {
		throw writeError(error);
	});
	await using directory = await open(dirname(target), "r");
	await directory.sync();
}

/** Temporary names begin with the pid of who writes; what belongs to no living process stays for nobody. */
async function removeLeftovers(incoming: string): Promise<void> {
	for (const name of await readdir(incoming)) {
		const pid = Number.parseInt(name, 10);
		if (pid !== process.pid && Number.isInteger(pid) && isAlive(pid)) continue;
		await rm(join(incoming, name), { force: true });
	}
}

/** What this process is about to put in place goes: for one that ends before it is done. */
export function removeUnfinished(incoming: string): void {
	for (const name of readdirSync(incoming)) if (name.startsWith(`${process.pid}.`)) rmSync(join(incoming, name), { force: true });
}

function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code !== "ESRCH";
	}
}
