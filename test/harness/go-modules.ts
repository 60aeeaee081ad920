import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
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
export function goProgram(name: string, path: string, version: string): Promise<string> {
	return builtOnce(name, version, (directory) =>
		go(directory, { GOBIN: directory }, "install", "-trimpath", "-ldflags=-s", `${path}@${version}`),
	);
}

/** The same of a module that `go install` refuses, as its `go.mod` excludes or replaces others: built in a copy of it. @param path of the program in the module */
export function goProgramWithin(name: string, module: string, version: string, path: string): Promise<string> {
	return builtOnce(name, version, async (directory) => {
		const copy = join(directory, "module");
		await cp(await goModule(module, version), copy, { recursive: true });
		// The registry's copy can't be written to, and then not be removed either.
		await promisify(execFile)("chmod", ["-R", "u+w", copy]);
		await go(copy, { GOFLAGS: "-mod=readonly" }, "build", "-trimpath", "-ldflags=-s", "-o", join(directory, name), path);
		await rm(copy, { recursive: true });
	});
}

async function builtOnce(name: string, version: string, build: (directory: string) => Promise<unknown>): Promise<string> {
	const directory = join(UNPACKED, `${name}-${version}`);
	const program = join(directory, name);
	if (existsSync(program)) return program;
	await mkdir(UNPACKED, { recursive: true });
	const temporary = await mkdtemp(join(UNPACKED, `${name}-`));
	try {
		await build(temporary);
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
