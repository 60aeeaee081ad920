import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { BerthError } from "@berth/contracts";
import { type SharedLibrary, sharedLibraries } from "./shared-libraries.js";

const run = promisify(execFile);
const BUSYBOX = "/bin/busybox";
/** What makes a shell script a server: it listens, and starts the script for each connection. */
const SOCAT = "/usr/bin/socat";

/** The distribution's shell and small programs, as a layer has them; paths are absolute. */
export interface ShellTools {
	readonly files: readonly SharedLibrary[];
	/** BusyBox under the names of its programs. */
	readonly links: readonly { readonly path: string; readonly target: string }[];
}

/** @throws BerthError `platform_error` naming what isn't installed */
export async function readShellTools(): Promise<ShellTools> {
	for (const [program, name] of [
		[BUSYBOX, "busybox"],
		[SOCAT, "socat"],
	] as const) {
		if (!existsSync(program)) throw new BerthError("platform_error", `${program} is missing: install Debian's package ${name}.`);
	}
	const { stdout } = await run(BUSYBOX, ["--list"], { env: {} });
	const names = stdout.split("\n").filter((name) => /^[\w[.+-]+$/.test(name) && name !== "busybox");
	const libraries = [...(await sharedLibraries(BUSYBOX)), ...(await sharedLibraries(SOCAT))];
	const files = [{ path: BUSYBOX, file: BUSYBOX }, { path: SOCAT, file: SOCAT }, ...libraries];
	return {
		files: [...new Map(files.map((file) => [file.path, file])).values()],
		links: names.map((name) => ({ path: `/bin/${name}`, target: "busybox" })),
	};
}
