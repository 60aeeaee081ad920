import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Where the scripts of this project put what they only unpack. */
const UNPACKED = fileURLToPath(new URL("../../node_modules/.berth", import.meta.url));
const ENV = {
	...process.env,
	PATH: [process.env["PATH"] ?? "", "/usr/local/go/bin"].join(delimiter),
	GOFLAGS: "-mod=mod",
};

async function go(directory: string, env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<string> {
	const options = { cwd: directory, env: { ...ENV, ...env }, maxBuffer: 2 ** 26 };
	const { stdout } = await promisify(execFile)("go", args, options).catch((error: NodeJS.ErrnoException & { stderr?: string }) => {
		if (error.code === "ENOENT") throw new Error("Go is missing: install it from https://go.dev/dl into /usr/local/go");
		throw new Error(error.stderr ?? error.message, { cause: error });
	});
	return stdout;
}

/** A program of a module, built the first time: Helm takes two minutes of a core. @returns its path */
export async function goProgram(name: string, path: string, version: string): Promise<string> {
	const directory = join(UNPACKED, `${name}-${version}`);
	const program = join(directory, name);
	if (existsSync(program)) return program;
	await mkdir(UNPACKED, { recursive: true });
	const temporary = await mkdtemp(join(UNPACKED, `${name}-`));
	try {
		await go(temporary, { GOBIN: temporary }, "install", "-trimpath", "-ldflags=-s", `${path}@${version}`);
		await rename(temporary, directory);
	} catch (error) {
		await rm(temporary, { recursive: true });
		throw error;
	}
	return program;
}

/** A module's own files, as its registry has them. @returns their directory */
export async function goModule(path: string, version: string): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), "berth-go-"));
	try {
		const said = JSON.parse(await go(directory, {}, "mod", "download", "-json", `${path}@${version}`)) as { Dir: string };
		return said.Dir;
	} finally {
		await rm(directory, { recursive: true });
	}
}
