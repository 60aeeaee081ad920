import { chmod, copyFile, cp, mkdir, readdir, realpath, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { GuestParts } from "./debian.js";
import { run } from "./programs.js";

const PROJECT = fileURLToPath(new URL("../../../", import.meta.url));
const INIT = fileURLToPath(new URL("../../guest/init.sh", import.meta.url));
const CHECKS = fileURLToPath(new URL("../../guest/main.ts", import.meta.url));
const FIXTURES = fileURLToPath(new URL("../../fixtures/functions", import.meta.url));

/** What the stack starts, and what its own scripts need; busybox has the rest. */
const PROGRAMS = ["crun", "redis-server", "unshare", "setpriv", "mount", "umount", "bash", "ldd", "tini-static"] as const;
const SEARCH = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"];
/** Packages of people who work on Berth; the stack needs none of them, and they are most of the bytes. */
const DEVELOPMENT =
	/^(?:@biomejs|@turbo|@typescript|@rolldown|@types|typescript|turbo|knip|lightningcss.*|vite|vitest|node-linux-.*|\.cache|\.bin)$/;
const IMAGE_MIB = 3072;

/**
 * Makes an ext4 image that a guest starts from: programs and libraries of this machine, the project as it was built
 * here, and the checks bundled into one file. Nothing is mounted for it.
 */
export async function makeRootImage(image: string, staging: string, parts: GuestParts): Promise<void> {
	for (const name of ["dev", "proc", "sys", "run", "etc", "var/lib", "root"]) await mkdir(join(staging, name), { recursive: true });
	await mkdir(join(staging, "tmp"));
	await chmod(join(staging, "tmp"), 0o1777);
	await addPrograms(staging, parts);
	await addProject(join(staging, "berth"));
	await writeFile(join(staging, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
	await writeFile(join(staging, "etc/group"), "root:x:0:\n");
	await writeFile(join(staging, "etc/hosts"), "127.0.0.1 localhost\n");
	await copyFile(INIT, join(staging, "sbin/guest-init"));
	await chmod(join(staging, "sbin/guest-init"), 0o755);
	await build({
		entryPoints: [CHECKS],
		outfile: join(staging, "berth/test/guest/main.mjs"),
		bundle: true,
		platform: "node",
		format: "esm",
		banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
		logLevel: "error",
	});
	await cp(FIXTURES, join(staging, "berth/test/fixtures/functions"), { recursive: true });
	await run("mke2fs", ["-q", "-t", "ext4", "-O", "^has_journal", "-d", staging, image, `${IMAGE_MIB}M`]);
}

/** The usual merged layout, with the libraries where each program looks for them. */
async function addPrograms(staging: string, { busybox, runc, modules }: GuestParts): Promise<void> {
	for (const name of ["bin", "sbin", "lib", "lib64"]) {
		await mkdir(join(staging, "usr", name), { recursive: true });
		await symlink(`usr/${name}`, join(staging, name));
	}
	await add(busybox, join(staging, "usr/bin/busybox"));
	await symlink("busybox", join(staging, "usr/bin/sh"));
	await add(join(modules, "fs/overlayfs/overlay.ko"), join(staging, "usr/lib/overlay.ko"));
	const node = join(PROJECT, "infra/runtimes/node_modules/node24/bin/node");
	await symlink("/berth/infra/runtimes/node_modules/node24/bin/node", join(staging, "usr/bin/node"));
	const programs = await Promise.all(PROGRAMS.map(async (name) => ({ name, file: await find(name) })));
	for (const { name, file } of [...programs, { name: "runc", file: runc }]) await add(file, join(staging, "usr/bin", name));
	const linked = [...programs.map(({ file }) => file), runc, node];
	const libraries = new Set((await Promise.all(linked.map(librariesOf))).flat());
	for (const path of libraries) await add(path, join(staging, path));
}

async function find(name: string): Promise<string> {
	for (const directory of SEARCH) {
		const path = await realpath(join(directory, name)).catch(() => undefined);
		if (path !== undefined) return path;
	}
	throw new Error(`${name} isn't installed on this machine`);
}

/** A static program has none, which ldd takes for a failure. */
async function librariesOf(program: string): Promise<readonly string[]> {
	const said = await run("ldd", [program]).catch(() => "");
	return [...said.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x[0-9a-f]+\)$/gm)].map((match) => match[1] as string);
}

async function add(from: string, to: string): Promise<void> {
	await mkdir(dirname(to), { recursive: true });
	await copyFile(from, to);
	await chmod(to, 0o755);
}

async function addProject(to: string): Promise<void> {
	await mkdir(join(to, "infra"), { recursive: true });
	await copyFile(join(PROJECT, "package.json"), join(to, "package.json"));
	// One runtime under both names: reading another 120 MB costs an emulated machine a minute.
	const runtimes = join(to, "infra/runtimes/node_modules");
	await cp(join(PROJECT, "infra/runtimes/node_modules/node24"), join(runtimes, "node24"), { recursive: true });
	await symlink("node24", join(runtimes, "node22"));
	await cp(join(PROJECT, "packages"), join(to, "packages"), {
		recursive: true,
		verbatimSymlinks: true,
		filter: (path) => !/\/(?:src|bench|\.turbo)$/.test(path),
	});
	await mkdir(join(to, "node_modules"));
	for (const name of await readdir(join(PROJECT, "node_modules"))) {
		if (DEVELOPMENT.test(name)) continue;
		await cp(join(PROJECT, "node_modules", name), join(to, "node_modules", name), { recursive: true, verbatimSymlinks: true });
	}
}
