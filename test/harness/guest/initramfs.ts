import { execFile } from "node:child_process";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { GuestParts } from "./debian.js";

/** Debian's cloud kernel has its disk's driver in modules, in the order in which they need each other. */
const MODULES = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"].map(
	(name) => `drivers/virtio/${name}.ko`,
);
const DISK = "drivers/block/virtio_blk.ko";

const START = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in ${[...MODULES, DISK].map((path) => basename(path)).join(" ")}; do /bin/busybox insmod /$module; done
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /sbin/guest-init
`;

/** What the kernel starts from: just enough to load the disk's driver and go on there. */
export async function makeInitramfs(archive: string, staging: string, { busybox, modules }: GuestParts): Promise<void> {
	for (const name of ["bin", "dev", "root"]) await mkdir(join(staging, name), { recursive: true });
	await copyFile(busybox, join(staging, "bin/busybox"));
	for (const path of [...MODULES, DISK]) await copyFile(join(modules, path), join(staging, basename(path)));
	await writeFile(join(staging, "init"), START, { mode: 0o755 });
	const names = ["bin", "bin/busybox", "dev", "root", "init", ...[...MODULES, DISK].map((path) => basename(path))];
	await writeFile(archive, await cpio(busybox, staging, names));
}

function cpio(busybox: string, directory: string, names: readonly string[]): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		const options = { cwd: directory, encoding: "buffer", maxBuffer: 1 << 27 } as const;
		const child = execFile(busybox, ["cpio", "-o", "-H", "newc"], options, (error, stdout) =>
			error === null ? resolve(stdout) : reject(error),
		);
		child.stdin?.end(`${names.join("\n")}\n`);
	});
}
