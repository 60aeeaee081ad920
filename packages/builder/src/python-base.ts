import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { promisify } from "node:util";
import { BerthError } from "@berth/contracts";
import { type SharedLibrary, sharedLibraries } from "./shared-libraries.js";

/** The distribution's, whatever else is first on the path. */
const PROGRAM = "/usr/bin/python3";
const ZONES = "/usr/share/zoneinfo";

/** Of the standard library, what is for terminals, windows, tests, and for installing Python itself. */
const LEFT_OUT =
	/^(?:test|idlelib|tkinter|turtledemo|turtle\.py|lib2to3|ensurepip|pydoc_data|config-[^/]*|curses|sitecustomize\.py|lib-dynload\/(?:_?test|_ctypes_test|_xx|xx|_curses|readline|nis|_dbm|_gdbm|_tkinter|ossaudiodev)[^/]*)(?:\/|$)/;
/** The zones under their own names: the rest is the same again, or tables for people. */
const NOT_A_ZONE = /^(?:right|posix)\/|\.(?:tab|list|zi)$/;
/** What compiled packages count on (PEP 600), and what the C library opens by itself. Those that this machine has. */
const EXPECTED = [
	"libgcc_s.so.1",
	"libstdc++.so.6",
	"libdl.so.2",
	"libpthread.so.0",
	"librt.so.1",
	"libutil.so.1",
	"libresolv.so.2",
	"libnss_dns.so.2",
];

/** A pyc's header: magic, flags, and then time and size of its source, or a hash of it (PEP 552). */
const HEADER_BYTES = 16;
const BY_TIME = 0;
const UNCHECKED_HASH = 1;

/** The distribution's Python as a layer has it; paths are absolute. */
export interface Python {
	readonly program: string;
	readonly libraries: readonly SharedLibrary[];
	/** Where its files are. */
	readonly trees: readonly string[];
	/** Its standard library, with bytecode, and time zones. */
	readonly files: readonly { readonly path: string; readonly bytes: Buffer }[];
}

/** Reads it: 700 files, 30 MB. @throws BerthError `platform_error` when it isn't there, or isn't whole */
export async function readPython(): Promise<Python> {
	if (!existsSync(PROGRAM)) throw new BerthError("platform_error", `${PROGRAM} is missing: install Debian's package python3.`);
	const { library, tag } = await describePython();
	const names = (await filesBelow(library)).filter((name) => /\.(?:py|so)$/.test(name) && !LEFT_OUT.test(name));
	if (!names.includes("asyncio/__init__.py"))
		throw new BerthError("platform_error", `${library} is only a part of the standard library: install Debian's package python3.`);
	const modules = names.filter((name) => name.endsWith(".so")).map((name) => join(library, name));
	const read = await Promise.all(names.map((name) => sourceAndBytecode(join(library, name), tag)));
	const libraries = await sharedLibraries(PROGRAM, [...modules, ...EXPECTED]);
	return {
		program: PROGRAM,
		libraries: libraries.filter(({ path }) => !modules.includes(path)),
		trees: [library, ZONES],
		files: [...read.flat(), ...(await zones())],
	};
}

async function describePython(): Promise<{ readonly library: string; readonly tag: string }> {
	const script =
		"import json, sys, sysconfig; print(json.dumps({'library': sysconfig.get_path('stdlib'), 'tag': sys.implementation.cache_tag}))";
	const { stdout } = await promisify(execFile)(PROGRAM, ["-I", "-S", "-c", script], { env: {} });
	return JSON.parse(stdout) as { library: string; tag: string };
}

/** A file, and the bytecode that the distribution's installer made of it, while that is of this very file. */
async function sourceAndBytecode(path: string, tag: string): Promise<Python["files"]> {
	const source = { path, bytes: await readFile(path) };
	if (extname(path) !== ".py") return [source];
	const cache = join(dirname(path), "__pycache__", `${basename(path, ".py")}.${tag}.pyc`);
	const bytecode = existsSync(cache) ? await readFile(cache) : undefined;
	const { mtimeMs, size } = await stat(path);
	const isCurrent =
		bytecode !== undefined &&
		bytecode.length > HEADER_BYTES &&
		bytecode.readUInt32LE(4) === BY_TIME &&
		bytecode.readUInt32LE(8) === Math.floor(mtimeMs / 1000) % 2 ** 32 &&
		bytecode.readUInt32LE(12) === size % 2 ** 32;
	return isCurrent ? [source, { path: cache, bytes: withoutTime(bytecode) }] : [source];
}

/** Files of a layer are of no time: bytecode that is held against its source's would be made again at each import. */
function withoutTime(bytecode: Buffer): Buffer {
	bytecode.fill(0, 4, HEADER_BYTES);
	bytecode.writeUInt32LE(UNCHECKED_HASH, 4);
	return bytecode;
}

async function zones(): Promise<Python["files"]> {
	if (!existsSync(ZONES)) return [];
	const names = (await filesBelow(ZONES)).filter((name) => !NOT_A_ZONE.test(name));
	return Promise.all(names.map(async (name) => ({ path: join(ZONES, name), bytes: await readFile(join(ZONES, name)) })));
}

/** Names of files, and of links to files, below a directory. */
async function filesBelow(directory: string): Promise<string[]> {
	const names = await readdir(directory, { recursive: true, encoding: "utf8" });
	const kinds = await Promise.all(names.map((name) => isFile(join(directory, name))));
	return names.filter((_, at) => kinds[at]).sort();
}

/** A link that leads nowhere is none. */
async function isFile(path: string): Promise<boolean> {
	try {
		return (await stat(path)).isFile();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
		throw error;
	}
}
