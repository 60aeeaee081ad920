import { existsSync, readdirSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./programs.js";

const EMULATOR = "qemu-system-x86_64";

/** What a guest is made of that isn't on this machine: unpacked, not installed. */
export interface GuestParts {
	readonly emulator: string;
	/** The kernel's image, and the directory of its modules. */
	readonly kernel: string;
	readonly modules: string;
	/** A static shell with the usual small programs. */
	readonly busybox: string;
	/** The other OCI runtime: this machine may have only one. */
	readonly runc: string;
}

/** Where the scripts of this project put what they only unpack. */
const UNPACKED = fileURLToPath(new URL("../../../node_modules/.berth/guest", import.meta.url));

/** Installs the emulator where it is missing, and unpacks a kernel and a shell from Debian, where they aren't there yet. */
export async function fetchGuestParts(): Promise<GuestParts> {
	if (!existsSync(`/usr/bin/${EMULATOR}`)) await install("qemu-system-x86");
	const kernel = await kernelPackage();
	const version = kernel.replace("linux-image-", "");
	const unpacked = join(UNPACKED, version);
	if (!existsSync(unpacked)) await unpack([kernel, "busybox-static", "runc"], unpacked);
	return {
		emulator: `/usr/bin/${EMULATOR}`,
		kernel: join(unpacked, "boot", `vmlinuz-${version}`),
		modules: join(unpacked, "lib", "modules", version, "kernel"),
		busybox: join(unpacked, "bin", "busybox"),
		runc: join(unpacked, "usr", "sbin", "runc"),
	};
}

/** It appears whole or not at all, in the place of what was there for another kernel. */
async function unpack(names: readonly string[], directory: string): Promise<void> {
	await rm(UNPACKED, { recursive: true, force: true });
	const temporary = `${directory}.${process.pid}`;
	await mkdir(temporary, { recursive: true });
	await run("apt-get", ["-q", "download", ...names], { cwd: temporary });
	for (const name of readdirSync(temporary).filter((each) => each.endsWith(".deb"))) {
		await run("dpkg-deb", ["-x", join(temporary, name), temporary]);
		await rm(join(temporary, name));
	}
	await rename(temporary, directory);
}

/** Debian's runc, unpacked into a directory. @returns its path */
export async function fetchRunc(directory: string): Promise<string> {
	await mkdir(directory, { recursive: true });
	await refreshed(() => run("apt-get", ["-q", "download", "runc"], { cwd: directory }));
	const file = readdirSync(directory).find((name) => name.endsWith(".deb")) as string;
	await run("dpkg-deb", ["-x", join(directory, file), directory]);
	return join(directory, "usr", "sbin", "runc");
}

/** The package that the newest cloud kernel is in: the name everybody knows only depends on it. */
async function kernelPackage(): Promise<string> {
	const depends = await refreshed(() => run("apt-cache", ["depends", "linux-image-cloud-amd64"]));
	const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
	if (name === undefined) throw new Error("Debian's linux-image-cloud-amd64 names no kernel");
	return name;
}

async function install(name: string): Promise<void> {
	await refreshed(() => run("apt-get", ["-q", "-y", "--no-install-recommends", "install", name]));
}

/** A bare image has no package lists, an old one's name files that are gone. */
async function refreshed<T>(work: () => Promise<T>): Promise<T> {
	try {
		return await work();
	} catch {
		await run("apt-get", ["-q", "update"]);
		return await work();
	}
}
