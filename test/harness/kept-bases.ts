import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Bases } from "@berth/builder";
import { stampOf } from "../../packages/launcher/src/tree-stamp.js";

const run = promisify(execFile);

/** Where the bases are kept that the first stack of a test run made; vitest.config.ts names it. Without it every stack makes its own. */
const KEPT = process.env["TEST_BASES"];
/** Such a place, by the process whose it is, or a copy that became none. */
const LEFT = /^berth-test-bases-(\d+)(?:-\w+)?$/;
/** Of a data directory, what bases are made of: images, digests of the files that went in, and the layers unpacked. */
const [IMAGES, KEYS, LAYERS] = ["artifacts/oci", "artifacts/keys", "launcher/layers"];

/**
 * Gives a data directory that is empty the bases that an earlier stack of this run has made. Images get second names where the disk is the same: none of their files is ever
 * written to, as every store writes beside and renames, so no stack sees another's changes. Layers are copied and stamped as a launcher does it:
 * a second name changes a file, to whoever looks at its times, and every launcher would unpack them anew.
 */
export async function takeKeptBases(dataDir: string): Promise<void> {
	if (KEPT === undefined || !existsSync(KEPT)) return;
	await run("cp", [await howTo(dataDir), `${KEPT}/artifacts`, dataDir]);
	await mkdir(join(dataDir, "launcher"), { mode: 0o711 });
	await run("cp", ["-a", join(KEPT, LAYERS), join(dataDir, LAYERS)]);
	const stamps = join(dataDir, "launcher/stamps");
	await mkdir(stamps, { mode: 0o700 });
	for (const layer of await readdir(join(dataDir, LAYERS))) {
		await writeFile(join(stamps, layer), await stampOf(join(dataDir, LAYERS, layer)), { mode: 0o600 });
	}
}

/** Keeps those of a stack that is up and has nothing else yet, if it has them all, unpacked: whose layers are elsewhere, in a Docker Engine or on another node, hasn't. */
export async function keepBases(dataDir: string): Promise<void> {
	if (KEPT === undefined || areBasesKept() || !(await hasBases(dataDir))) return;
	const copy = await mkdtemp(`${KEPT}-`);
	await chmod(copy, 0o711);
	await run("cp", [await howTo(dataDir), "--parents", IMAGES, KEYS, copy], { cwd: dataDir });
	await run("cp", ["-a", "--parents", LAYERS, copy], { cwd: dataDir });
	await rename(copy, KEPT).catch(async (error: NodeJS.ErrnoException) => {
		await rm(copy, { recursive: true });
		// Another stack was first.
		if (error.code !== "ENOTEMPTY") throw error;
	});
}

/** A second name, where the data directory is on the disk that they are kept on. */
async function howTo(dataDir: string): Promise<"-al" | "-a"> {
	return (await stat(dirname(KEPT as string))).dev === (await stat(dataDir)).dev ? "-al" : "-a";
}

/** Whether a stack that is started now is given bases: else each of a run makes its own, which takes minutes in all, and nothing else shows it. */
export function areBasesKept(): boolean {
	return KEPT !== undefined && existsSync(KEPT);
}

async function hasBases(dataDir: string): Promise<boolean> {
	const file = join(dataDir, "bases.json");
	if (!existsSync(file) || !existsSync(join(dataDir, LAYERS))) return false;
	// The one for packages' scripts is unpacked when a build asks for it.
	const { scripts: _, ...bases } = JSON.parse(await readFile(file, "utf8")) as Bases;
	const unpacked = await readdir(join(dataDir, LAYERS));
	const digests = Object.values(bases).flatMap(({ layers }) => layers.map(({ digest }) => digest.slice("sha256:".length)));
	// A layer's directory has the beginning of its digest as its name.
	const isUnpacked = (digest: string) => unpacked.some((name) => digest.startsWith(name));
	return digests.every((each) => isUnpacked(each) && existsSync(join(dataDir, IMAGES, "blobs/sha256", each)));
}

/** Takes them away when a test run ends, and those first that a run which was killed has left (vitest's globalSetup). */
export default async function setup(): Promise<() => Promise<void>> {
	const kept = KEPT as string;
	for (const name of await readdir(dirname(kept))) {
		const [, pid] = LEFT.exec(name) ?? [];
		if (pid !== undefined && !existsSync(`/proc/${pid}`)) await rm(join(dirname(kept), name), { recursive: true, force: true });
	}
	const isOurs = LEFT.exec(basename(kept))?.[1] === String(process.pid);
	return () => (isOurs ? rm(kept, { recursive: true, force: true }) : Promise.resolve());
}
