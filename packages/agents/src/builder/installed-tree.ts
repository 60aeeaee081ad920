import { closeSync, type Dirent, lstatSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BUILD_QUESTIONS, DEPENDENCY_LIMITS, EXTERNALS_FILE } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import { DependencyError } from "./dependency-error.js";

/** A file of the tree: path below the directory, bytes, whether it is executable. */
export type InstalledFile = readonly [path: string, bytes: number, executable: boolean];

const OWNER_EXECUTE = 0o100;
const SCRIPT = /\.[cm]?js$/;
/** Code that looks around itself at run time, or loads what only then is known: in a bundle it would look in another place. */
const LOOKS_AROUND =
	/\b(?:__dirname|__filename|createRequire|process\.dlopen)\b|\bimport\.meta\b|\brequire\.resolve\b|\brequire\(\s*[^"'\s)]/;
/** What can't be bundled. */
const NATIVE = /\.(?:node|wasm)$/;
/** Names of directories whose code isn't the package's own at run time. */
const ASIDE = new Set(["test", "tests", "__tests__", "example", "examples", "benchmark", "benchmarks", "docs"]);

/**
 * Lists what was installed, plain files only (npm's links to programs and its own notes aren't part of it), and
 * writes down which packages can't be bundled. @throws DependencyError when it is more than there may be
 */
export function listTree(directory: string): readonly InstalledFile[] {
	const files = filesIn(directory, "node_modules", (below, name) => below.endsWith("node_modules") && name.startsWith("."));
	const externals = new Set<string>();
	for (const [path] of files) {
		const name = topPackageOf(path);
		if (name !== undefined && !externals.has(name) && isUnbundlable(directory, path)) externals.add(name);
	}
	const list = JSON.stringify([...externals].sort());
	// A package's script may have put something there.
	rmSync(join(directory, EXTERNALS_FILE), { recursive: true, force: true });
	writeFileSync(join(directory, EXTERNALS_FILE), list);
	return [...files, [EXTERNALS_FILE, Buffer.byteLength(list), false]];
}

/** The plain files below a directory of the tree's. @throws DependencyError when they are more than there may be */
export function filesIn(directory: string, top: string, isLeftOut: (below: string, name: string) => boolean): readonly InstalledFile[] {
	const files: InstalledFile[] = [];
	let bytes = 0;
	const visit = (below: string): void => {
		for (const entry of sorted(readdirSync(join(directory, below), { withFileTypes: true }))) {
			const path = `${below}/${entry.name}`;
			if (isLeftOut(below, entry.name)) continue;
			if (entry.isDirectory()) visit(path);
			if (!entry.isFile()) continue;
			const { mode, size } = lstatSync(join(directory, path));
			files.push([path, size, (mode & OWNER_EXECUTE) !== 0]);
			bytes += size;
			if (files.length >= DEPENDENCY_LIMITS.files)
				throw new DependencyError(`the dependencies have more than ${DEPENDENCY_LIMITS.files} files`);
			if (bytes > DEPENDENCY_LIMITS.treeBytes)
				throw new DependencyError(
					`the dependencies have more than ${DEPENDENCY_LIMITS.treeBytes} bytes; leave out what the function doesn't need`,
				);
		}
	};
	visit(top);
	return files;
}

/** Puts every file's bytes, one after another. */
export async function putTree(directory: string, files: readonly InstalledFile[], ask: Ask): Promise<void> {
	const buffer = Buffer.allocUnsafe(BUILD_QUESTIONS.bodyBytes);
	let held = 0;
	for (const [path, size] of files) {
		const fd = openSync(join(directory, path), "r");
		try {
			for (let at = 0; at < size; ) {
				const read = readSync(fd, buffer, held, Math.min(buffer.length - held, size - at), at);
				if (read === 0) throw new Error(`${path} became shorter`);
				at += read;
				held += read;
				if (held === buffer.length) {
					await ask({ kind: "put" }, buffer);
					held = 0;
				}
			}
		} finally {
			closeSync(fd);
		}
	}
	if (held > 0) await ask({ kind: "put" }, buffer.subarray(0, held));
}

/** A package inside another one's node_modules counts as that one's: names are looked up from the function's own place. */
function topPackageOf(path: string): string | undefined {
	const [, first = "", second = ""] = path.split("/");
	return first.startsWith("@") ? `${first}/${second}` : first;
}

function isUnbundlable(directory: string, path: string): boolean {
	if (NATIVE.test(path)) return true;
	if (!SCRIPT.test(path) || path.split("/").some((name) => ASIDE.has(name))) return false;
	return LOOKS_AROUND.test(readFileSync(join(directory, path), "utf8"));
}

function sorted(entries: readonly Dirent[]): readonly Dirent[] {
	return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
