import type { BuildAnswer, BuildRequest, Diagnostic } from "@berth/contracts/agent";
import { unpackSource } from "./archive.js";
import { ArchiveError } from "./archive-rules.js";
import { type Bundle, bundleSource, hasHandler } from "./bundle.js";
import type { CodeCache } from "./code-cache.js";
import { capped } from "./diagnostics.js";
import { type EntryFound, findEntry } from "./entry.js";
import { Workspace } from "./workspace.js";

type Refusal = Extract<BuildAnswer, { ok: false }>;

/** What a build answers: a head, and the files of the code layer in the order the head gives their sizes. */
export interface Built {
	readonly answer: BuildAnswer;
	readonly files: readonly Uint8Array[];
}

/** What the platform takes of a message. */
const MESSAGE_CHARS = 4000;
const SHAPES =
	"`export default { fetch(request, env, ctx) {…} }`, `export default async (payload, ctx) => {…}` or `export const handler = async (event, context) => {…}`";

/** Source in, bundle out. Nothing of the source is run. @throws Error when we are to blame */
export async function buildSource(request: BuildRequest, source: Uint8Array, codeCache: CodeCache): Promise<Built> {
	const startedAt = performance.now();
	const found = unpack(request, source);
	if (!("entry" in found)) return refused(found);
	using workspace = new Workspace(found.files);
	const unpackedAt = performance.now();
	const bundle = await bundleSource(workspace.directory, found.entry, request.target);
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
			bundleBytes: bundle.code.byteLength,
			mapBytes: bundle.map.byteLength,
			cacheBytes: cache.byteLength,
			warnings: capped(bundle.warnings),
			phases,
		},
		files: [bundle.code, bundle.map, cache],
	};
}

function unpack({ kind, filename, entry }: BuildRequest, source: Uint8Array): EntryFound | Refusal {
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

function failure(code: Refusal["code"], phase: Refusal["phase"], message: string, diagnostics: readonly Diagnostic[] = []): Refusal {
	return { ok: false, code, phase, message: message.slice(0, MESSAGE_CHARS), diagnostics: capped(diagnostics) };
}

function refused(answer: Refusal): Built {
	return { answer, files: [] };
}
