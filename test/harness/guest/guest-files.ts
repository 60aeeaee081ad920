import { chmod, copyFile, mkdir, realpath, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { GuestParts } from "./debian.js";
import { run } from "./programs.js";

export const PROJECT = fileURLToPath(new URL("../../../", import.meta.url));
export const NODE = join(PROJECT, "infra/runtimes/node_modules/node24/bin/node");
const INIT = fileURLToPath(new URL("../../guest/init.sh", import.meta.url));
const SEARCH = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/** What is in a guest's root beside its first process. */
interface RootContents {
	/** Of this machine, by name. */
	readonly programs: readonly string[];
	/** Of the kernel, by their paths without `.ko`, in the order in which they need each other. */
	readonly modules: readonly string[];
}

/** Makes the root of a guest: its first process, and programs of this machine with the libraries where each looks for them, all in one directory. */
export async function makeRoot(staging: string, { busybox, runc, modules }: GuestParts, contents: RootContents): Promise<void> {
	for (const name of ["dev", "proc", "sys", "run", "etc", "var/lib", "root", "berth"])
		await mkdir(join(staging, name), { recursive: true });
	await mkdir(join(staging, "tmp"));
	await chmod(join(staging, "tmp"), 0o1777);
	for (const name of ["bin", "lib", "lib64"]) await mkdir(join(staging, "usr", name), { recursive: true });
	await symlink("bin", join(staging, "usr/sbin"));
	for (const name of ["bin", "sbin", "lib", "lib64"]) await symlink(`usr/${name}`, join(staging, name));
	await writeFile(join(staging, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
	await writeFile(join(staging, "etc/group"), "root:x:0:\n");
	await writeFile(join(staging, "etc/hosts"), "127.0.0.1 localhost\n");
	await add(INIT, join(staging, "usr/sbin/guest-init"));
	await add(busybox, join(staging, "usr/bin/busybox"));
	await symlink("busybox", join(staging, "usr/bin/sh"));
	for (const [at, path] of contents.modules.entries()) {
		const numbered = `${String(at).padStart(2, "0")}-${basename(path)}.ko`;
		await add(join(modules, `${path}.ko`), join(staging, "usr/lib/modules", numbered));
	}
	const programs = await Promise.all(contents.programs.map(async (name) => ({ name, file: await find(name) })));
	for (const { name, file } of [...programs, { name: "runc", file: runc }]) await add(file, join(staging, "usr/bin", name));
	const linked = [...programs.map(({ file }) => file), runc, NODE];
	const libraries = new Set((await Promise.all(linked.map(librariesOf))).flat());
	for (const path of libraries) await add(path, join(staging, path));
}

/** One file of a program and all that it imports, but what is loaded by its place. */
export async function bundleProgram(entry: string, outfile: string): Promise<void> {
	await build({
		entryPoints: [entry],
		outfile,
		bundle: true,
		platform: "node",
		format: "esm",
		external: ["koffi"],
		banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
		logLevel: "error",
	});
}

export function makeImage(image: string, staging: string, sizeMiB: number): Promise<string> {
	return run("mke2fs", ["-q", "-t", "ext4", "-O", "^has_journal", "-d", staging, image, `${sizeMiB}M`]);
}

export async function add(from: string, to: string): Promise<void> {
	await mkdir(dirname(to), { recursive: true });
	await copyFile(from, to);
	await chmod(to, 0o755);
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
