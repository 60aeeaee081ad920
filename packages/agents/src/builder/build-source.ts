import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type BuildRefusal, type Diagnostic, EXTERNALS_FILE, SANDBOX_PATHS, type SourceRequest } from "@berth/contracts/agent";
import type { Built } from "./answer.js";
import { unpackSource } from "./archive.js";
import { ArchiveError } from "./archive-rules.js";
import { type Bundle, bundleSource, hasHandler } from "./bundle.js";
import type { CodeCache } from "./code-cache.js";
import { DependencyError, installableOf } from "./dependencies.js";
import { capped } from "./diagnostics.js";
import { type EntryFound, findEntry } from "./entry.js";
import { failure, refused } from "./refusals.js";
import { Workspace } from "./workspace.js";

const SHAPES =
	"`export default { fetch(request, env, ctx) {…} }`, `export default async (payload, ctx) => {…}` or `export const handler = async (event, context) => {…}`";

/**
 * Source in, bundle out; or what has to be installed and grafted in first. Nothing of the source is run.
 * @throws Error when we are to blame
 */
export async function buildSource(request: SourceRequest, source: Uint8Array, codeCache: CodeCache): Promise<Built> {
	const startedAt = performance.now();
	const found = unpack(request, source);
	if (!("entry" in found)) return refused(found);
	const needed = request.kind === "file" ? undefined : dependencies(found, request);
	if (needed !== undefined && "code" in needed) return refused(needed);
	if (needed !== undefined && !request.grafted) return { answer: { ok: "dependencies" }, files: [needed.bytes] };
	using workspace = new Workspace(found.files);
	const layered = needed === undefined ? [] : useGraft(workspace.directory);
	const absent = request.external.find((name) => !existsSync(join(workspace.directory, "node_modules", name)));
	if (absent !== undefined) return refused(failure("build_failed", "bundle", notInstalled(absent)));
	const unpackedAt = performance.now();
	const external = [...layered, ...request.external];
	const bundle = await bundleSource({ directory: workspace.directory, entry: found.entry, target: request.target, external });
	if ("diagnostics" in bundle) return refused(failure("build_failed", "bundle", summary(bundle.diagnostics), bundle.diagnostics));
	const bundledAt = performance.now();
	const problem = missingHandler(found.entry, bundle);
	if (problem !== undefined) return refused(failure("no_handler", "check", problem));
	const cache = bundle.name === "index.cjs" ? await codeCache.make(bundle.code, request.target) : new Uint8Array(0);
	const phases = { unpackMs: unpackedAt - startedAt, bundleMs: bundledAt - unpackedAt, checkMs: performance.now() - bundledAt };
	return {
		answer: {
			ok: true,
			entry: bundle.name,
			needsDependencies: bundle.needsExternals,
			bundleBytes: bundle.code.byteLength,
			mapBytes: bundle.map.byteLength,
			cacheBytes: cache.byteLength,
			warnings: capped(bundle.warnings),
			phases,
		},
		files: [bundle.code, bundle.map, cache],
	};
}

/** What to install, as the bytes that it is known by. */
function dependencies({ files }: EntryFound, request: SourceRequest): { readonly bytes: Uint8Array } | BuildRefusal | undefined {
	try {
		const installable = installableOf(files, request);
		return installable && { bytes: Buffer.from(JSON.stringify(installable)) };
	} catch (error) {
		if (error instanceof DependencyError) return failure("dependencies_rejected", "unpack", `${error.message}.`);
		throw error;
	}
}

/** Makes the grafted packages the source's. @returns those that can't be bundled @throws Error when the graft didn't arrive */
function useGraft(directory: string): readonly string[] {
	const external = JSON.parse(readFileSync(join(SANDBOX_PATHS.code, EXTERNALS_FILE), "utf8")) as readonly string[];
	symlinkSync(join(SANDBOX_PATHS.code, "node_modules"), join(directory, "node_modules"));
	return external;
}

function notInstalled(name: string): string {
	return `The manifest's external ${JSON.stringify(name)} isn't among the installed dependencies; package.json and package-lock.json say what is installed.`;
}

function unpack({ kind, filename, entry }: SourceRequest, source: Uint8Array): EntryFound | BuildRefusal {
	const name = filename ?? "index.ts";
	try {
		const found = findEntry(unpackSource(kind, name, source), kind === "file" ? name : entry);
		return typeof found === "string" ? failure("no_handler", "unpack", found) : found;
	} catch (error) {
		if (error instanceof ArchiveError) return failure("archive_rejected", "unpack", error.message);
		throw error;
	}
}

function missingHandler(entry: string, { exports }: Bundle): string | undefined {
	if (exports === undefined || hasHandler(exports)) return undefined;
	const found = exports.length === 0 ? "nothing" : exports.slice(0, 20).join(", ");
	return `${entry} exports ${found}; a handler is ${SHAPES}.`;
}

function summary(diagnostics: readonly Diagnostic[]): string {
	const [first] = diagnostics;
	if (first === undefined) return "The source doesn't build.";
	const place = first.file === undefined ? "" : `${first.file}:${first.line}:${first.column}: `;
	const others = diagnostics.length === 1 ? "" : ` (and ${diagnostics.length - 1} more)`;
	return `${place}${first.message}${others}`;
}
