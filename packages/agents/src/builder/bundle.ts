import { isBuiltin } from "node:module";
import { join } from "node:path";
import { type Diagnostic, SANDBOX_PATHS } from "@berth/contracts/agent";
import { type BuildOptions, type BuildResult, build, type Metafile, type OutputFile } from "esbuild";
import { diagnosticsOf, isOutside } from "./diagnostics.js";

/** A bundle's file in the code layer says how it is loaded: as a script, or as an ES module. */
export type BundleName = "index.cjs" | "index.mjs";

export interface Bundle {
	readonly name: BundleName;
	readonly code: Uint8Array;
	readonly map: Uint8Array;
	readonly warnings: readonly Diagnostic[];
	/** Names that the entry exports; undefined when it is CommonJS, which only running it could tell. */
	readonly exports: readonly string[] | undefined;
	/** Whether it leaves packages out that it will load. */
	readonly needsExternals: boolean;
}

/** What is bundled. */
export interface BundlePlan {
	readonly directory: string;
	readonly entry: string;
	readonly target: string;
	/** Packages that stay where they are. */
	readonly external: readonly string[];
}

/** The source doesn't build: a value. */
export interface BundleFailure {
	readonly diagnostics: readonly Diagnostic[];
}

/** Where modules of ours find what ES modules don't have. */
const ESM_BANNER = [
	'import { createRequire as __createRequire } from "node:module";',
	"const require = __createRequire(import.meta.url);",
	"const __filename = import.meta.filename, __dirname = import.meta.dirname;",
].join(" ");
/** Modules are strict code; CommonJS may count on not being. Both are one line, so that the map fits either. */
const STRICT = '"use strict";';
const SLOPPY = "/* sloppy */ ";

/**
 * Bundles a source and its packages to one file, but for those that stay external. As a script (CommonJS), which V8 starts faster
 * and takes a code cache for (docs/ARCHITECTURE.md), unless it has a top-level await or uses
 * `import.meta` for more than its own place, or imports an external package as a module, which is
 * Node's to do: then as an ES module.
 */
export async function bundleSource(plan: BundlePlan): Promise<Bundle | BundleFailure> {
	const [script, exported] = await Promise.all([tryBuild(scriptOptions(plan)), tryBuild(exportsOptions(plan))]);
	const isScript =
		script.ok &&
		!script.result.warnings.some(({ id }) => id === "empty-import-meta") &&
		!importsExternals(script.result.metafile, plan.entry);
	const final = isScript ? script : await tryBuild(moduleOptions(plan));
	if (!final.ok) return { diagnostics: final.diagnostics };
	const { metafile, outputFiles, warnings } = final.result;
	const stray = Object.keys(metafile.inputs).find(isOutside);
	if (stray !== undefined)
		return {
			diagnostics: [{ severity: "error", message: `${stray.replace(/^(\.\.\/)+/, "/")} is outside the source and can't be imported.` }],
		};
	const [code, map] = [contentsOf(outputFiles, "code"), contentsOf(outputFiles, "map")];
	return {
		name: isScript ? "index.cjs" : "index.mjs",
		code: isScript && hasCommonJs(metafile) ? withoutStrict(code) : code,
		map,
		warnings: diagnosticsOf("warning", warnings, plan.directory),
		exports: await exportsOf(metafile, exported, plan),
		needsExternals: externalImports(metafile).length > 0,
	};
}

type Outcome = { readonly ok: true; readonly result: Built } | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };
type Built = BuildResult<{ metafile: true; write: false }>;
type Options = BuildOptions & { metafile: true; write: false; absWorkingDir: string };

async function tryBuild(options: Options): Promise<Outcome> {
	try {
		return { ok: true, result: await build(options) };
	} catch (error) {
		const { errors } = error as { errors?: Parameters<typeof diagnosticsOf>[1] };
		if (errors === undefined) throw error;
		return { ok: false, diagnostics: diagnosticsOf("error", errors, options.absWorkingDir) };
	}
}

function commonOptions({ directory, entry, target, external }: BundlePlan): Options {
	return {
		absWorkingDir: directory,
		entryPoints: [join(directory, entry)],
		bundle: true,
		write: false,
		metafile: true,
		platform: "node",
		target,
		external: [...external],
		// The packages are a link to where they are grafted; among them there are none.
		preserveSymlinks: true,
		// One-byte strings: half the memory, and quicker to read.
		charset: "ascii",
		legalComments: "none",
		logLevel: "silent",
		loader: { ".txt": "text", ".html": "text", ".md": "text" },
	};
}

function scriptOptions(plan: BundlePlan): Options {
	const file = `${SANDBOX_PATHS.code}/index.cjs`;
	return {
		...commonOptions(plan),
		format: "cjs",
		outfile: join(plan.directory, "index.cjs"),
		sourcemap: "external",
		banner: { js: STRICT },
		define: {
			"import.meta.url": JSON.stringify(`file://${file}`),
			"import.meta.filename": JSON.stringify(file),
			"import.meta.dirname": JSON.stringify(SANDBOX_PATHS.code),
		},
	};
}

function moduleOptions(plan: BundlePlan): Options {
	return {
		...commonOptions(plan),
		format: "esm",
		outfile: join(plan.directory, "index.mjs"),
		sourcemap: "external",
		banner: { js: ESM_BANNER },
	};
}

/** Only the source's own files: esbuild lists the exports of an ES module alone, and packages cost time. */
function exportsOptions(plan: BundlePlan): Options {
	return { ...commonOptions(plan), format: "esm", outfile: join(plan.directory, "index.mjs"), packages: "external" };
}

async function exportsOf(metafile: Metafile, own: Outcome, plan: BundlePlan): Promise<readonly string[] | undefined> {
	if (metafile.inputs[plan.entry]?.format === "cjs") return undefined;
	const names = own.ok ? namesIn(own.result.metafile) : [];
	if (hasHandler(names)) return names;
	// It may come by `export * from` a package.
	const whole = await tryBuild({ ...exportsOptions(plan), packages: "bundle" });
	return whole.ok ? namesIn(whole.result.metafile) : names;
}

/** Whether one of the names is a handler's. */
export function hasHandler(names: readonly string[]): boolean {
	return names.includes("default") || names.includes("handler");
}

function namesIn(metafile: Metafile): readonly string[] {
	return Object.values(metafile.outputs).flatMap((output) => output.exports);
}

/** Packages that aren't in the bundle; Node's own modules aren't packages. */
function externalImports({ inputs }: Metafile): readonly Metafile["inputs"][string]["imports"][number][] {
	return Object.values(inputs).flatMap(({ imports }) => imports.filter(({ external, path }) => external === true && !isBuiltin(path)));
}

/** Whether a source that is made of modules imports such a package by `import`. */
function importsExternals(metafile: Metafile, entry: string): boolean {
	if (metafile.inputs[entry]?.format === "cjs") return false;
	return externalImports(metafile).some(({ kind }) => kind === "import-statement");
}

function contentsOf(files: readonly OutputFile[], kind: "code" | "map"): Uint8Array {
	const file = files.find(({ path }) => path.endsWith(".map") === (kind === "map"));
	if (file === undefined) throw new Error(`esbuild gave no ${kind}`);
	return file.contents;
}

function hasCommonJs(metafile: Metafile): boolean {
	return Object.values(metafile.inputs).some(({ format }) => format === "cjs");
}

function withoutStrict(code: Uint8Array): Uint8Array {
	const copy = Buffer.from(code);
	const at = copy.indexOf(STRICT);
	if (at >= 0 && at < STRICT.length * 2) copy.write(SLOPPY, at, "latin1");
	return copy;
}
