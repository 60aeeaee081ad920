import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { constants, Script } from "node:vm";
import { WRAPPER_HEAD, WRAPPER_TAIL } from "./wrapper.js";

/** A function's module, loaded and run. */
export interface LoadedBundle {
	readonly exports: Readonly<Record<string, unknown>>;
	/** Whether V8 took the code cache: not when there is none, or another version or other flags made it. */
	readonly cached: boolean;
}

type Wrapper = (exports: unknown, require: NodeJS.Require, module: { exports: unknown }, filename: string, dirname: string) => void;

/**
 * Loads a bundle as the builder wrote it: `….cjs` is a script, with V8's code cache beside it when it
 * is worth one; `….mjs` is an ES module. Throws what the module throws.
 */
export async function loadBundle(entry: string): Promise<LoadedBundle> {
	if (!entry.endsWith(".cjs")) return { exports: (await import(pathToFileURL(entry).href)) as Record<string, unknown>, cached: false };
	const cache = `${entry}.cache`;
	const script = new Script(WRAPPER_HEAD + readFileSync(entry, "utf8") + WRAPPER_TAIL, {
		filename: entry,
		importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
		...(existsSync(cache) ? { cachedData: readFileSync(cache) } : {}),
	});
	const module: { exports: unknown } = { exports: {} };
	const run = script.runInThisContext() as Wrapper;
	run.call(module.exports, module.exports, createRequire(entry), module, entry, dirname(entry));
	return { exports: namespaceOf(module.exports), cached: script.cachedDataRejected === false };
}

/** What a script exports, as an ES module would: `module.exports = …` alone is the default export. */
function namespaceOf(exported: unknown): Readonly<Record<string, unknown>> {
	const isNamespace = typeof exported === "object" && exported !== null && ("default" in exported || "handler" in exported);
	return isNamespace ? (exported as Record<string, unknown>) : { default: exported };
}
