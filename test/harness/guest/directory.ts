import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** On a disk, not a tmpfs: images are large. */
const PARENT = "/var/tmp";
const OURS = /^berth-guest-(\d+)-/;

/** A directory for a guest's files, without those that tests which were killed have left. Whoever asks removes it. */
export async function guestDirectory(): Promise<string> {
	for (const name of await readdir(PARENT)) {
		const [, pid] = OURS.exec(name) ?? [];
		if (pid !== undefined && !existsSync(`/proc/${pid}`)) await rm(join(PARENT, name), { recursive: true, force: true });
	}
	return await mkdtemp(join(PARENT, `berth-guest-${process.pid}-`));
}
