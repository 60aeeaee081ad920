import type { SourceRequest } from "@berth/contracts/agent";
import type { SourceFile } from "./source-files.js";

/** The program of an archive of `custom`. */
const PROGRAM = "bootstrap";

/** Where a language's handlers usually are. */
const USUAL = {
	node: {
		what: "TypeScript or JavaScript",
		extensions: ["ts", "mts", "cts", "tsx", "js", "mjs", "cjs", "jsx"],
		stems: ["index", "src/index", "handler"],
		main: ' and package.json\'s "main"',
	},
	custom: { what: "a program", extensions: [], stems: [PROGRAM], main: "" },
	python: { what: "Python", extensions: ["py"], stems: ["index", "main", "handler", "src/index", "src/main"], main: "" },
} as const;
export type SourceLanguage = keyof typeof USUAL;
/** What to say for one of the language's; Node's newest is what is taken when nothing is said. */
const RUNTIME: Readonly<Record<SourceLanguage, SourceRequest["runtime"]>> = { node: "node24", python: "python3", custom: "custom" };
/** Paths that a message names. */
const SHOWN = 5;

/** The file with the handler, and the files as they are to be laid out. */
export interface EntryFound {
	readonly entry: string;
	readonly files: readonly SourceFile[];
}

/**
 * Finds the file with the handler: the one the manifest names, else the first of the usual names,
 * else, of Node, package.json's `main`. An archive whose only top-level name is a directory (as GitHub and npm
 * make them) is looked into only when nothing was found without.
 * @returns a sentence about what was looked for when there is none
 */
export function findEntry(files: readonly SourceFile[], wanted: string | undefined, language: SourceLanguage): EntryFound | string {
	const { what, stems, main } = USUAL[language];
	const extensions: readonly string[] = USUAL[language].extensions;
	if (wanted !== undefined && extensions.length > 0 && !extensions.includes(wanted.slice(wanted.lastIndexOf(".") + 1))) {
		return `The manifest's entry ${JSON.stringify(wanted)} isn't ${what}: it ends in none of ${extensions.join(", ")}.`;
	}
	for (const candidate of [files, withoutTopDirectory(files)]) {
		const entry = candidate === undefined ? undefined : entryOf(candidate, wanted, language);
		if (candidate !== undefined && entry !== undefined) return { entry, files: candidate };
	}
	const there = `the source has ${named(files)}`;
	if (wanted !== undefined) return `The manifest's entry ${JSON.stringify(wanted)} isn't in the source: ${there}.`;
	if (language === "custom")
		return `There is no ${PROGRAM}, the program that is started: ${there}. Put it at the top, or name it in the manifest's \`entry\`.`;
	const looked = `looked for ${stems.map((stem) => `${stem}.*`).join(", ")} (${extensions.join(", ")})${main}; ${there}`;
	return `No file with a handler was found: ${looked}. ${otherRuntime(files) ?? "Name it in the manifest's `entry`."}`;
}

/** What would find one: a source of another language's that came without its runtime. */
function otherRuntime(files: readonly SourceFile[]): string | undefined {
	for (const language of Object.keys(RUNTIME) as SourceLanguage[]) {
		const entry = entryOf(files, undefined, language);
		if (entry !== undefined)
			return `With the manifest's \`runtime\` ${RUNTIME[language]} (\`berth deploy --runtime ${RUNTIME[language]}\`) it is ${entry}.`;
	}
	return undefined;
}

/** The first few paths, for a message. */
function named(files: readonly SourceFile[]): string {
	if (files.length === 0) return "no file";
	const more = files.length > SHOWN ? ` and ${files.length - SHOWN} more` : "";
	return (
		files
			.slice(0, SHOWN)
			.map(({ path }) => path)
			.join(", ") + more
	);
}

function entryOf(files: readonly SourceFile[], wanted: string | undefined, language: SourceLanguage): string | undefined {
	const paths = new Set(files.map(({ path }) => path));
	if (wanted !== undefined) return paths.has(wanted) ? wanted : undefined;
	const { stems, extensions } = USUAL[language];
	if (extensions.length === 0) return stems.find((name) => paths.has(name));
	const names = stems.flatMap((stem) => extensions.map((extension) => `${stem}.${extension}`));
	return names.find((name) => paths.has(name)) ?? (language === "node" ? mainOf(files, paths) : undefined);
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

/** The files as they would be without the one directory that all of them are in; undefined when there isn't one. */
export function withoutTopDirectory(files: readonly SourceFile[]): readonly SourceFile[] | undefined {
	const top = files[0]?.path.split("/", 1)[0];
	if (top === undefined || !files.every(({ path }) => path.startsWith(`${top}/`))) return undefined;
	return files.map((file) => ({ ...file, path: file.path.slice(top.length + 1) }));
}
