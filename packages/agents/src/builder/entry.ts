import type { SourceFile } from "./source-files.js";

const EXTENSIONS = ["ts", "mts", "cts", "tsx", "js", "mjs", "cjs", "jsx"];
const STEMS = ["index", "src/index", "handler"];
const USUAL_NAMES = STEMS.flatMap((stem) => EXTENSIONS.map((extension) => `${stem}.${extension}`));

/** The file with the handler, and the files as they are to be laid out. */
export interface EntryFound {
	readonly entry: string;
	readonly files: readonly SourceFile[];
}

/**
 * Finds the file with the handler: the one the manifest names, else the first of the usual names,
 * else package.json's `main`. An archive whose only top-level name is a directory (as GitHub and npm
 * make them) is looked into only when nothing was found without.
 * @returns a sentence about what was looked for when there is none
 */
export function findEntry(files: readonly SourceFile[], wanted: string | undefined): EntryFound | string {
	for (const candidate of [files, withoutTopDirectory(files)]) {
		const entry = candidate === undefined ? undefined : entryOf(candidate, wanted);
		if (candidate !== undefined && entry !== undefined) return { entry, files: candidate };
	}
	if (wanted !== undefined) return `The manifest's entry ${JSON.stringify(wanted)} isn't in the source.`;
	return `No entry file was found; looked for ${STEMS.map((stem) => `${stem}.*`).join(", ")} (${EXTENSIONS.join(", ")}) and package.json's "main".`;
}

function entryOf(files: readonly SourceFile[], wanted: string | undefined): string | undefined {
	const paths = new Set(files.map(({ path }) => path));
	if (wanted !== undefined) return paths.has(wanted) ? wanted : undefined;
	return USUAL_NAMES.find((name) => paths.has(name)) ?? mainOf(files, paths);
}

function mainOf(files: readonly SourceFile[], paths: ReadonlySet<string>): string | undefined {
	const manifest = files.find(({ path }) => path === "package.json");
	if (manifest === undefined) return undefined;
	try {
		const main = (JSON.parse(Buffer.from(manifest.bytes).toString()) as { main?: unknown } | null)?.main;
		const path = typeof main === "string" ? main.replace(/^\.\//, "") : "";
		return [path, `${path}.js`, `${path}/index.js`].find((name) => paths.has(name));
	} catch (error) {
		// A package.json that isn't JSON names no entry; esbuild says what is wrong with it if it matters.
		if (error instanceof SyntaxError) return undefined;
		throw error;
	}
}

function withoutTopDirectory(files: readonly SourceFile[]): readonly SourceFile[] | undefined {
	const top = files[0]?.path.split("/", 1)[0];
	if (top === undefined || !files.every(({ path }) => path.startsWith(`${top}/`))) return undefined;
	return files.map(({ path, bytes }) => ({ path: path.slice(top.length + 1), bytes }));
}
