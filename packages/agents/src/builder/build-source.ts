import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import {
	type BuildRefusal,
	DEFAULT_FILENAME,
	type Diagnostic,
	EXTERNALS_FILE,
	languageOf,
	SANDBOX_PATHS,
	type SourceRequest,
} from "@berth/contracts/agent";
import type { Built } from "./answer.js";
import { unpackSource } from "./archive.js";
import { ARCHIVE_LIMITS, ArchiveError } from "./archive-rules.js";
import { type Bundle, bundleSource, hasHandler } from "./bundle.js";
import type { CodeCache } from "./code-cache.js";
import { dependenciesOf, type Wanted } from "./dependencies.js";
import { DependencyError } from "./dependency-error.js";
import { capped } from "./diagnostics.js";
import { type EntryFound, findEntry } from "./entry.js";
import { wrongProgram } from "./program-file.js";
import { checkPython, isBytecode, unfitPath } from "./python.js";
import { failure, refused } from "./refusals.js";
import { requirementsOf } from "./requirements.js";
import type { SourceFile } from "./source-files.js";
import { Workspace } from "./workspace.js";

const SHAPES =
	"`export default { fetch(request, env, ctx) {…} }`, `export default async (payload, ctx) => {…}` or `export const handler = async (event, context) => {…}`";

const UNFIT = "is too long a path for a layer (a name of 68 bytes in a directory of 123 is the most), or has a control character";
/** Bytecode is left out where it would make a layer larger than an archive may be. */
const LAYER_BYTES = ARCHIVE_LIMITS.totalBytes;

/**
 * Source in, code layer out; or what has to be installed and grafted in first. Nothing of the source is run.
 * @throws Error when we are to blame
 */
export async function buildSource(request: SourceRequest, source: Uint8Array, codeCache: CodeCache): Promise<Built> {
	const startedAt = performance.now();
	const found = unpack(request, source);
	if (!("entry" in found)) return refused(found);
	const unpackMs = performance.now() - startedAt;
	if (request.runtime === "custom") return buildCustom(found, unpackMs);
	return request.runtime === "python3" ? await buildPython(request, found, unpackMs) : await buildNode(request, found, codeCache, unpackMs);
}

/** The files as they are, the program among them: nothing is compiled, and what it is can be seen at its beginning. */
function buildCustom({ entry, files }: EntryFound, unpackMs: number): Built {
	const startedAt = performance.now();
	const unfit = unfitPath(files);
	if (unfit !== undefined) return refused(failure("archive_rejected", "unpack", new ArchiveError(unfit, UNFIT).message));
	const program = files.find(({ path }) => path === entry) as SourceFile;
	const problem = wrongProgram(program);
	if (problem !== undefined) return refused(failure("no_handler", "check", problem));
	const phases = { unpackMs, bundleMs: 0, checkMs: performance.now() - startedAt };
	return {
		answer: { ok: true, entry, needsDependencies: false, warnings: [], phases },
		// Whoever packed it on a system without such modes means it to be executed, too.
		files: files.map((file) => (file === program ? { ...file, executable: true } : file)),
	};
}

async function buildNode(request: SourceRequest, found: EntryFound, codeCache: CodeCache, unpackMs: number): Promise<Built> {
	const unpackedAt = performance.now();
	const needed = request.kind === "file" ? undefined : dependencies(() => dependenciesOf(found.files, request.registries));
	if (needed !== undefined && "code" in needed) return refused(needed);
	if (needed !== undefined && !request.grafted)
		return { answer: { ok: "dependencies", locked: needed.locked }, files: [], body: needed.bytes };
	using workspace = new Workspace(found.files);
	const layered = needed === undefined ? [] : useGraft(workspace.directory);
	const absent = request.external.find((name) => !existsSync(join(workspace.directory, "node_modules", name)));
	if (absent !== undefined) return refused(failure("build_failed", "bundle", notInstalled(absent)));
	const { runtime } = request;
	const external = [...layered, ...request.external];
	codeCache.prepare(needed === undefined ? sizeOf(found.files) : Number.POSITIVE_INFINITY, runtime);
	const bundle = await bundleSource({ directory: workspace.directory, entry: found.entry, target: runtime, external });
	if ("diagnostics" in bundle) return refused(failure("build_failed", "bundle", summary(bundle.diagnostics), bundle.diagnostics));
	const bundledAt = performance.now();
	const problem = missingHandler(found.entry, bundle);
	if (problem !== undefined) return refused(failure("no_handler", "check", problem));
	const cache = bundle.name === "index.cjs" ? await codeCache.make(bundle.code, runtime) : new Uint8Array(0);
	const phases = { unpackMs, bundleMs: bundledAt - unpackedAt, checkMs: performance.now() - bundledAt };
	const files = [
		{ path: bundle.name, bytes: bundle.code },
		{ path: `${bundle.name}.map`, bytes: bundle.map },
		{ path: `${bundle.name}.cache`, bytes: cache },
	];
	return {
		answer: { ok: true, entry: bundle.name, needsDependencies: bundle.needsExternals, warnings: capped(bundle.warnings), phases },
		files: files.filter(({ bytes }, i) => i === 0 || bytes.byteLength > 0),
	};
}

function sizeOf(files: readonly SourceFile[]): number {
	return files.reduce((total, { bytes }) => total + bytes.byteLength, 0);
}

/** What to install, or to resolve first, as the bytes that it is known by. */
function dependencies(read: () => Wanted | undefined): { readonly bytes: Uint8Array; readonly locked: boolean } | BuildRefusal | undefined {
	try {
		const wanted = read();
		if (wanted === undefined) return undefined;
		const locked = "installable" in wanted;
		return { locked, bytes: Buffer.from(JSON.stringify(locked ? wanted.installable : wanted.manifest)) };
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

/** The files as they are, once each of them is found to be Python, and bytecode beside them. Its packages are only looked for when it runs. */
async function buildPython(request: SourceRequest, { entry, files }: EntryFound, unpackMs: number): Promise<Built> {
	const startedAt = performance.now();
	const needed = request.kind === "file" ? undefined : dependencies(() => requirementsIn(files, request));
	if (needed !== undefined && "code" in needed) return refused(needed);
	const sources = files.filter(({ path }) => !isBytecode(path));
	const unfit = unfitPath(sources);
	if (unfit !== undefined) return refused(failure("archive_rejected", "unpack", new ArchiveError(unfit, UNFIT).message));
	using workspace = new Workspace(sources);
	const { diagnostics, hasHandler } = await checkPython(workspace.directory, entry);
	const errors = diagnostics.filter(({ severity }) => severity === "error");
	if (errors.length > 0) return refused(failure("build_failed", "check", summary(errors), errors));
	if (!hasHandler)
		return refused(failure("no_handler", "check", `${entry} has no handler; a handler is \`def handler(event, context):\`.`));
	if (needed !== undefined && !request.grafted) return { answer: { ok: "dependencies", locked: true }, files: [], body: needed.bytes };
	const phases = { unpackMs, bundleMs: 0, checkMs: performance.now() - startedAt };
	return {
		answer: { ok: true, entry, needsDependencies: needed !== undefined, warnings: capped(diagnostics), phases },
		files: withBytecode(sources, workspace),
	};
}

/** pip resolves while it installs: there is nothing to resolve first. */
function requirementsIn(files: readonly SourceFile[], { registries }: SourceRequest): Wanted | undefined {
	const installable = requirementsOf(files, registries);
	return installable && { installable };
}

function withBytecode(sources: readonly SourceFile[], workspace: Workspace): readonly SourceFile[] {
	const all = [...sources, ...workspace.bytecode()];
	return sizeOf(all) > LAYER_BYTES ? sources : all;
}

function unpack({ kind, filename, entry, runtime }: SourceRequest, source: Uint8Array): EntryFound | BuildRefusal {
	const language = languageOf(runtime);
	const name = filename ?? DEFAULT_FILENAME[language];
	try {
		const found = findEntry(unpackSource(kind, name, source), kind === "file" ? name : entry, language);
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
