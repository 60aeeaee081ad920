import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { BerthError } from "@berth/contracts";

/** A library a program links: where the program looks for it, and the file that is there. */
export interface SharedLibrary {
	readonly path: string;
	readonly file: string;
}

const run = promisify(execFile);
/** `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)`, or the loader: `/lib64/ld-linux-x86-64.so.2 (0x…)`. */
const LINE = /^\s*(?:\S+ => )?(\/\S+) \(0x[0-9a-f]+\)$/;

/** The C library's other parts, beside it: Node links none of them, native packages do. */
const C_LIBRARY = "libc.so.6";
const ITS_OTHERS = ["libresolv.so.2", "librt.so.1", "libutil.so.1"];

/**
 * The libraries of a program, loader included, as the loader finds them: it is asked as `ldd` does, and starts nothing then.
 * @param others what the program will open as well, by path or name; their libraries are among them. Those that aren't there are passed over
 * @throws BerthError when one is missing
 */
export async function sharedLibraries(program: string, others: readonly string[] = []): Promise<readonly SharedLibrary[]> {
	const env = { LC_ALL: "C", PATH: "/usr/bin:/bin", LD_TRACE_LOADED_OBJECTS: "1", LD_PRELOAD: others.join(":") };
	const { stdout } = await run(program, [], { env });
	const missing = /^\s*(\S+) => not found$/m.exec(stdout)?.[1];
	if (missing !== undefined) throw new BerthError("platform_error", `${program} needs ${missing}, which isn't installed on this machine.`);
	const paths = stdout.split("\n").flatMap((line) => LINE.exec(line)?.[1] ?? []);
	const beside = paths
		.filter((path) => path.endsWith(`/${C_LIBRARY}`))
		.flatMap((path) => ITS_OTHERS.map((name) => join(dirname(path), name)));
	const unlinked = beside.filter((path) => !paths.includes(path) && existsSync(path));
	return Promise.all([...paths, ...unlinked].map(async (path) => ({ path, file: await realpath(path) })));
}
