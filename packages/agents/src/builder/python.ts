import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Diagnostic, SANDBOX_PATHS } from "@berth/contracts/agent";
import type { SourceFile } from "./source-files.js";

const run = promisify(execFile);
/** The distribution's. */
export const PYTHON = "/usr/bin/python3";
const CHECK = join(import.meta.dirname, "check_python.py");
const MOST_OUTPUT_BYTES = 8 * 1024 * 1024;
/** Segmentation fault, abort: what Python's compiler does with a source that nests deeper than its stack. */
const CRASHES: ReadonlySet<unknown> = new Set(["SIGSEGV", "SIGABRT"]);

/** A tar's header holds a name of so many bytes below a path of so many (POSIX.1-2017, pax, "ustar Interchange Format"). */
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
/** What bytecode's path has more than its source's: `__pycache__/`, `.cpython-311` and the `c` of `.pyc`. */
const BYTECODE_BYTES = 32;
/** A layer has the function's files at the place where they are loaded from. */
const PLACE_BYTES = SANDBOX_PATHS.code.length;

/** What comes of Python's own compiler. */
interface PythonCheck {
	readonly diagnostics: readonly Diagnostic[];
	/** Whether the entry binds `handler`. */
	readonly hasHandler: boolean;
}

/**
 * Compiles every file below the directory, without running any, and leaves bytecode in its `__pycache__`
 * directories. @throws Error when we are to blame
 */
export async function checkPython(directory: string, entry: string): Promise<PythonCheck> {
	try {
		const args = ["-I", "-B", CHECK, directory, entry, SANDBOX_PATHS.code];
		const { stdout } = await run(PYTHON, args, { env: {}, maxBuffer: MOST_OUTPUT_BYTES });
		return JSON.parse(stdout) as PythonCheck;
	} catch (error) {
		if (!CRASHES.has((error as { signal?: unknown }).signal)) throw error;
		const message = "Python's compiler crashed on the source; does an expression nest very deeply?";
		return { diagnostics: [{ severity: "error", message }], hasHandler: false };
	}
}

/** Whether it is made of a source: what an archive brings of it may be of another source than its own. */
export function isBytecode(path: string): boolean {
	return path.split("/").includes("__pycache__");
}

/** A path that a layer has no room for, or that no program should have to deal with; undefined when there is none. */
export function unfitPath(files: readonly SourceFile[]): string | undefined {
	return files.find(({ path }) => /\p{Cc}/u.test(path) || !fitsLayer(path))?.path;
}

/** Whether bytecode's own path has room in a layer. */
export function fitsBytecode(path: string): boolean {
	const slash = path.lastIndexOf("/");
	return Buffer.byteLength(path.slice(slash + 1)) <= NAME_BYTES && Buffer.byteLength(path.slice(0, slash)) + PLACE_BYTES <= PREFIX_BYTES;
}

function fitsLayer(path: string): boolean {
	const name = path.slice(path.lastIndexOf("/") + 1);
	return (
		Buffer.byteLength(name) + BYTECODE_BYTES <= NAME_BYTES &&
		Buffer.byteLength(path) - Buffer.byteLength(name) + BYTECODE_BYTES + PLACE_BYTES <= PREFIX_BYTES
	);
}
