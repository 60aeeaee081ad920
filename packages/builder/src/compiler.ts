import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { lstat, open, readlink, realpath } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";
import { type SharedLibrary, sharedLibraries } from "./shared-libraries.js";

const run = promisify(execFile);
const DPKG = "/usr/bin/dpkg-query";
const NEEDED = ["/usr/bin/g++", "/usr/bin/make", DPKG] as const;
const BINUTILS: Readonly<Record<string, string>> = { x64: "binutils-x86-64-linux-gnu", arm64: "binutils-aarch64-linux-gnu" };
/** What of these packages is wanted: programs, headers and libraries; no documents. */
const WANTED = /^\/(?:usr\/(?:bin|include|lib)|lib)\//;
/** Link-time optimisation, other linkers, sanitizers, whole C libraries to link statically, and programs that only look: two thirds of the bytes. */
const LEFT_OUT =
	/lto1$|lto-dump|lto-wrapper|\/lib[altu]*san[._]|\/(?:compat-ld|gold-ld|bfd-plugins)\/|[-/](?:ld\.)?gold$|-?dwp$|g(?:cov|prof)[\w-]*$|\/lib(?:c|m(?:-[\d.]+)?|mvec|g)\.a$|\/gcov/;
/** What the C library's linker scripts name, beside it. */
const NAMED = ["libmvec.so.1"];
const ELF = "\x7fELF";
const EXECUTE = 0o111;

/** The distribution's compiler as a layer has it; paths are absolute. */
export interface Compiler {
	readonly files: readonly (SharedLibrary & { readonly executable: boolean })[];
	readonly links: readonly { readonly path: string; readonly target: string }[];
}

/** The packages of this machine that have a compiler of C and C++, each with its version: what it is, for a key. Undefined where it has none. */
export async function findCompiler(): Promise<readonly string[] | undefined> {
	if (!NEEDED.every((path) => existsSync(path))) return undefined;
	const { stdout: version } = await run("/usr/bin/g++", ["-dumpversion"], { env: { PATH: "/usr/bin:/bin" } });
	const names = packageNames(version.trim());
	const format = ["-W", "-f", "$" + "{Package}=$" + "{Version}=$" + "{db:Status-Status}\n"];
	try {
		const { stdout } = await run(DPKG, [...format, ...names], { env: { LC_ALL: "C" } });
		const found = stdout.trim().split("\n").sort();
		return found.every((line) => line.endsWith("=installed")) ? found : undefined;
	} catch (error) {
		// It ends with 1 when it doesn't know one of them: another distribution's compiler, or a part of one.
		if ((error as { code?: unknown }).code === 1) return undefined;
		throw error;
	}
}

/** Reads what `findCompiler` found: which files there are, and the libraries that its programs link. */
export async function readCompiler(found: readonly string[]): Promise<Compiler> {
	const names = found.map((line) => line.slice(0, line.indexOf("=")));
	const { stdout } = await run(DPKG, ["--listfiles", ...names], { env: { LC_ALL: "C" }, maxBuffer: 64 * 1024 * 1024 });
	const paths = new Set(stdout.split("\n").filter((path) => WANTED.test(path) && !LEFT_OUT.test(path)));
	const entries = await Promise.all([...paths].sort().map((path) => entryOf(path, paths)));
	const files = entries.flatMap((entry) => (entry !== undefined && "file" in entry ? [entry] : []));
	const links = entries.flatMap((entry) => (entry !== undefined && "target" in entry ? [entry] : []));
	const own = new Map(files.map((file) => [file.path, file]));
	for (const { file, executable } of files) {
		if (!executable || !(await isProgram(file))) continue;
		for (const library of await sharedLibraries(file, NAMED)) own.set(library.path, { ...library, executable: true });
	}
	// Debian's alternatives, which are in no package.
	const alternatives = [
		{ path: "/usr/bin/cc", target: "gcc" },
		{ path: "/usr/bin/c++", target: "g++" },
	];
	return { files: [...own.values()], links: [...links, ...alternatives] };
}

function packageNames(version: string): readonly string[] {
	const [major = version] = version.split(".");
	const versioned = ["cpp", "gcc", "g++"].flatMap((name) => [name, `${name}-${major}`]);
	const libraries = [`libgcc-${major}-dev`, `libstdc++-${major}-dev`, "libc6-dev", "libcrypt-dev", "linux-libc-dev"];
	return [...versioned, ...libraries, "binutils", BINUTILS[process.arch] ?? "binutils", "make"];
}

type Entry = Compiler["files"][number] | Compiler["links"][number] | undefined;

/** A file; or a link to another one of them. A link that leads elsewhere counts as the file that is there. */
async function entryOf(path: string, paths: ReadonlySet<string>): Promise<Entry> {
	const stat = await lstat(path);
	if (stat.isDirectory()) return undefined;
	if (!stat.isSymbolicLink()) return { path, file: path, executable: (stat.mode & EXECUTE) !== 0 };
	const target = await readlink(path);
	const leadsTo = resolve(dirname(path), target);
	if (paths.has(leadsTo)) return { path, target };
	// The program that it names was left out.
	if (!existsSync(leadsTo) || LEFT_OUT.test(leadsTo)) return undefined;
	const file = await realpath(path);
	const real = await lstat(file);
	return real.isFile() ? { path, file, executable: (real.mode & EXECUTE) !== 0 } : undefined;
}

async function isProgram(file: string): Promise<boolean> {
	if (/\.(?:so|a|o)(?:\.|$)/.test(file)) return false;
	await using handle = await open(file, "r");
	const { buffer, bytesRead } = await handle.read(Buffer.alloc(ELF.length), 0, ELF.length, 0);
	return buffer.toString("latin1", 0, bytesRead) === ELF;
}
