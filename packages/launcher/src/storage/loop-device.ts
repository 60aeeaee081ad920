import { closeSync, openSync } from "node:fs";
import { check, libc, MS, mount, SyscallError, tryLockAlone } from "../syscalls.js";

/** ioctl(2) of linux/loop.h. */
const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
/** The device goes when nothing has it open or mounted any more; it has no cache beside that of the file system on it. */
const LO_FLAGS = { autoclear: 4, directIo: 16 } as const;
/** struct loop_config: the file's descriptor, the block size, then struct loop_info64. */
const CONFIG_BYTES = 304;
const CONFIG_FILE = 0;
const CONFIG_FLAGS = 60;
/** Another program of this host may take the same free device first. */
const TRIES = 20;

const CONTROL = "/dev/loop-control";

const cIoctl = libc.func("ioctl", "int", ["int", "ulong", "ulong"]);
const cIoctlStruct = libc.func("ioctl", "int", ["int", "ulong", "const uint8_t *"]);
const cFallocate = libc.func("int fallocate(int fd, int mode, int64_t offset, int64_t length)");

/** Takes the disk space that a file may need. @throws SyscallError `ENOSPC` */
export function reserve(fd: number, bytes: number): void {
	try {
		check(cFallocate(fd, 0, 0, bytes), "fallocate");
	} catch (error) {
		// A file system that can't: the space is taken as it is written.
		if ((error as SyscallError).code !== "EOPNOTSUPP") throw error;
	}
}

/** Why this host has no loop devices; undefined when it has. */
export function whyNoLoopDevices(): string | undefined {
	try {
		closeSync(openSync(CONTROL, "r"));
		return undefined;
	} catch (error) {
		return `it has no loop devices (${(error as Error).message}): modprobe loop`;
	}
}

/** The image has been mounted by somebody whose mount isn't gone yet: a second one would destroy the file system. */
export class ImageInUse extends Error {
	override readonly name = "ImageInUse";
}

/**
 * Mounts the ext4 in a file on a loop device, which lasts as long as the mount in whatever namespace has it. The lock that keeps a second one
 * away is the open file's, which the device holds: it ends with the device, whoever was killed.
 * @throws ImageInUse, SyscallError
 */
export function mountImage(file: string, target: string): void {
	const image = openSync(file, "r+");
	try {
		if (!tryLockAlone(image)) throw new ImageInUse(`${file} is mounted elsewhere`);
		const { device, path } = freeDevice(image);
		try {
			mount(path, target, "ext4", MS.nosuid | MS.nodev | MS.noexec | MS.noatime, "errors=remount-ro");
		} finally {
			closeSync(device);
		}
	} finally {
		closeSync(image);
	}
}

function freeDevice(image: number): { readonly device: number; readonly path: string } {
	const control = openSync(CONTROL, "r+");
	try {
		for (let tries = 1; ; tries++) {
			const number = cIoctl(control, LOOP_CTL_GET_FREE, 0) as number;
			check(number, "LOOP_CTL_GET_FREE");
			const path = `/dev/loop${number}`;
			const device = openSync(path, "r+");
			try {
				configure(device, image, path);
				return { device, path };
			} catch (error) {
				closeSync(device);
				if (!(error instanceof SyscallError) || error.code !== "EBUSY" || tries === TRIES) throw error;
			}
		}
	} finally {
		closeSync(control);
	}
}

function configure(device: number, image: number, path: string): void {
	const config = Buffer.alloc(CONFIG_BYTES);
	config.writeUInt32LE(image, CONFIG_FILE);
	config.writeUInt32LE(LO_FLAGS.autoclear | LO_FLAGS.directIo, CONFIG_FLAGS);
	check(cIoctlStruct(device, LOOP_CONFIGURE, config), `LOOP_CONFIGURE ${path}`);
}
