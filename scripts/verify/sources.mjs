import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { ROOT } from "../setup/places.mjs";

const PACKAGES = join(ROOT, "packages");
/** `import … from "x"`, `export … from "x"`, `import "x"`, `import("x")` at the start of a statement or in an expression. */
const SPECIFIER = /^\s*(?:import|export)\b[^;"'`]*?\bfrom\s*"([^"]+)"|^\s*import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/gm;

/**
 * Every source file of the packages with what it imports.
 * @returns {{package: string, path: string, fullPath: string, isTest: boolean, specifiers: string[]}[]} paths from the root
 */
export function readSources() {
	return packageNames().flatMap((name) =>
		filesBelow(join(PACKAGES, name, "src")).map((fullPath) => ({
			package: name,
			path: relative(ROOT, fullPath),
			fullPath,
			isTest: fullPath.endsWith(".test.ts") || fullPath.includes("/src/testing/"),
			specifiers: specifiersOf(readFileSync(fullPath, "utf8")),
		})),
	);
}

/** The directories below packages/. */
export function packageNames() {
	return readdirSync(PACKAGES).sort();
}

/** A package's package.json. */
export function manifestOf(name) {
	return JSON.parse(readFileSync(join(PACKAGES, name, "package.json"), "utf8"));
}

function specifiersOf(text) {
	return [...text.matchAll(SPECIFIER)].map((match) => match[1] ?? match[2] ?? match[3]);
}

function filesBelow(directory) {
	if (!existsSync(directory)) return [];
	return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
		const path = join(directory, entry.name);
		return entry.isDirectory() ? filesBelow(path) : /\.m?ts$/.test(path) ? [path] : [];
	});
}
