import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
	closeSync,
	constants,
	existsSync,
	fsyncSync,
	ftruncateSync,
	mkdirSync,
	openSync,
	readdirSync,
	renameSync,
	rmdirSync,
	rmSync,
	statfsSync,
	statSync,
} from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { type MakeVolumeAnswer, MIB, VOLUMES_LEAVE_FREE } from "@berth/contracts";
import { SANDBOX_UID } from "@berth/sandbox/spec";
import type { Children } from "../children.js";
import { findExecutable } from "../executables.js";
import { unmount } from "../syscalls.js";
import { whyNoMountAttributes } from "./detached-mounts.js";
import { ImageInUse, mountImage, reserve, whyNoLoopDevices } from "./loop-device.js";

const MKFS = ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"];
const IMAGE = /^([0-9a-f]{32})\.img$/;
/** How long what an earlier launcher left may take to let go of an image, milliseconds. */
const LET_GO_MS = 5000;

/** Nothing is wrong with what was asked for: there is no space for it. */
class NoSpace extends Error {
	readonly code = "ENOSPC";
}

/**
 * Volumes: an ext4 each in a file of its size, by id, in a directory that only root enters. Nothing in one is ever looked at from
 * here: what a tenant may write is files, and the file system around them is the kernel's. A volume is mounted here when it
 * is first wanted, and stays until it is removed or we end; sandboxes get mounts of that mount.
 */
export class Volumes {
	readonly #directory: string;
	readonly #budgetBytes: number;
	readonly #children: Children;
	/** Those that are mounted, or about to be. */
	readonly #mounted = new Map<string, Promise<void>>();
	readonly #mkfs: string | undefined;
	/** One is made at a time: together they have to fit into the budget. */
	#making: Promise<unknown> = Promise.resolve();
	/** What this host lacks for volumes; undefined when nothing. */
	readonly missing: string | undefined;

	constructor(directory: string, budgetBytes: number, children: Children) {
		this.#directory = join(directory, "volumes");
		this.#budgetBytes = budgetBytes;
		this.#children = children;
		mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
		// Half made, or half removed, when a launcher was killed.
		for (const name of readdirSync(this.#directory)) if (name.endsWith(".new")) rmSync(join(this.#directory, name));
		this.#mkfs = findExecutable(MKFS);
		this.missing =
			this.#mkfs === undefined ? "it has no mkfs.ext4: apt-get install e2fsprogs" : (whyNoMountAttributes() ?? whyNoLoopDevices());
	}

	/** Makes one, unless there is one of that id, of whatever size. @throws Error when there is no space */
	make(id: string, sizeMiB: number): Promise<MakeVolumeAnswer> {
		const made = this.#making.then(() => this.#make(id, sizeMiB));
		this.#making = made.catch(() => undefined);
		return made;
	}

	/** Where it is mounted. @throws Error when it isn't on this node */
	async mounted(id: string): Promise<string> {
		if (this.missing !== undefined) throw new Error(`this host has no volumes: ${this.missing}`);
		let mounting = this.#mounted.get(id);
		if (mounting === undefined) {
			mounting = this.#mount(this.#imageOf(id), this.#placeOf(id));
			this.#mounted.set(id, mounting);
			mounting.catch(() => this.#mounted.delete(id));
		}
		await mounting;
		return this.#placeOf(id);
	}

	/**
	 * Takes its name away and lets go of it: it is gone from the disk when nothing has it mounted any more. Idempotent.
	 * Without its name nobody mounts it meanwhile.
	 */
	async remove(id: string): Promise<void> {
		const image = this.#imageOf(id);
		const nameless = `${image}.${randomUUID()}.new`;
		if (existsSync(image)) renameSync(image, nameless);
		const mounting = this.#mounted.get(id);
		const isMounted = await mounting?.then(
			() => true,
			() => false,
		);
		if (isMounted && this.#mounted.get(id) === mounting) {
			this.#mounted.delete(id);
			this.#unmount(id);
		}
		await rm(nameless, { force: true });
		syncDirectory(this.#directory);
	}

	/** Unmounts all; those that sandboxes still have stay mounted there. */
	async close(): Promise<void> {
		for (const [id, mounting] of this.#mounted) {
			this.#mounted.delete(id);
			await mounting.then(
				() => this.#unmount(id),
				() => undefined,
			);
		}
	}

	async #make(id: string, sizeMiB: number): Promise<MakeVolumeAnswer> {
		if (this.missing !== undefined || this.#mkfs === undefined) throw new Error(`this host has no volumes: ${this.missing}`);
		const image = this.#imageOf(id);
		const there = statSync(image, { throwIfNoEntry: false });
		if (there !== undefined) return { made: false, sizeMiB: there.size / MIB };
		this.#refuseBeyondBudget(sizeMiB * MIB);
		this.#refuseLastSpace(sizeMiB * MIB);
		const temporary = `${image}.new`;
		try {
			await this.#format(this.#mkfs, temporary, sizeMiB * MIB);
			await this.#empty(temporary, id);
			await rename(temporary, image);
		} catch (error) {
			await rm(temporary, { force: true });
			throw error;
		}
		syncDirectory(this.#directory);
		return { made: true, sizeMiB };
	}

	#refuseBeyondBudget(bytes: number): void {
		const images = readdirSync(this.#directory).filter((name) => IMAGE.test(name));
		const held = images.reduce((sum, name) => sum + statSync(join(this.#directory, name)).size, 0);
		if (held + bytes <= this.#budgetBytes) return;
		const [most, has] = [this.#budgetBytes / MIB, held / MIB];
		throw new NoSpace(`the volumes of this node may have ${most} MiB together (BERTH_VOLUMES_MIB), and ${has} are taken`);
	}

	/** The same disk may have Redis's files, which acknowledge nothing without space. */
	#refuseLastSpace(bytes: number): void {
		const { bavail, blocks, bsize } = statfsSync(this.#directory);
		if (bavail * bsize - bytes >= (blocks * bsize) / VOLUMES_LEAVE_FREE) return;
		const free = Math.floor((bavail * bsize) / MIB);
		throw new NoSpace(`of the ${free} MiB that are free where volumes are, too little would be left: a twentieth of the disk stays free`);
	}

	/** All of its space is taken now: a disk that fills up later would break the file system in it. */
	async #format(mkfs: string, file: string, bytes: number): Promise<void> {
		await rm(file, { force: true });
		const fd = openSync(file, "wx", 0o600);
		try {
			ftruncateSync(fd, bytes);
			const owner = `root_owner=${SANDBOX_UID}:${SANDBOX_UID}`;
			await this.#run(mkfs, ["-q", "-F", "-b", "4096", "-m", "0", "-E", owner, file]);
			reserve(fd, bytes);
			fsyncSync(fd);
		} finally {
			closeSync(fd);
		}
	}

	/** Proves that it can be mounted, and leaves nothing in it. */
	async #empty(file: string, id: string): Promise<void> {
		await this.#mount(file, this.#placeOf(id));
		try {
			rmdirSync(join(this.#placeOf(id), "lost+found"));
		} finally {
			this.#unmount(id);
		}
	}

	async #mount(file: string, place: string): Promise<void> {
		for (const giveUpAt = performance.now() + LET_GO_MS; ; ) {
			if (!existsSync(file)) throw new Error("the volume isn't on this node");
			mkdirSync(place, { recursive: true, mode: 0o700 });
			try {
				mountImage(file, place);
				return;
			} catch (error) {
				if (!(error instanceof ImageInUse) || performance.now() > giveUpAt) throw error;
				await pause(5);
			}
		}
	}

	/** Without its place nothing can be mounted from there by mistake. */
	#unmount(id: string): void {
		unmount(this.#placeOf(id));
		rmdirSync(this.#placeOf(id));
	}

	async #run(program: string, args: readonly string[]): Promise<void> {
		const child = spawn(program, [...args], { stdio: ["ignore", "ignore", "pipe"], env: {} });
		const [code, said] = await Promise.all([this.#children.exitOf(child), text(child.stderr)]);
		const why = `${program} ended with ${code}: ${said.trim().split("\n").at(-1) || "it said nothing"}`;
		if (code !== 0) throw /no space left/i.test(said) ? new NoSpace(why) : new Error(why);
	}

	#imageOf(id: string): string {
		return join(this.#directory, `${id}.img`);
	}

	#placeOf(id: string): string {
		return join(this.#directory, id);
	}
}

function syncDirectory(path: string): void {
	const fd = openSync(path, constants.O_DIRECTORY);
	try {
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}
