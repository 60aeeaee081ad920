import {
	type Base,
	BerthError,
	type BuildAnswer,
	type BuildFailure,
	type BuildRequest,
	DEPENDENCY_LIMITS,
	type Layer,
	MINUTE_MS,
	parseBuildAnswer,
} from "@berth/contracts";
import type { ScratchFile } from "@berth/registry";
import { type BuildListener, sizeText } from "./build-listener.js";
import type { BuildRun, BuildSandboxes } from "./build-sandbox.js";
import type { PackageSources } from "./package-sources.js";
import { questionOf, RegistryFetches } from "./registry-fetches.js";

/** What the sandbox keeps of its time to say how far it came, and to hand over what it made, milliseconds. */
const HANDOVER_MS = MINUTE_MS;

export interface StepOptions {
	readonly sandboxes: BuildSandboxes;
	/** How long a step may take, milliseconds. */
	readonly installMs: number;
	/** How long a registry may say nothing, milliseconds. */
	readonly silenceMs: number;
}

/** What a step answered, and the body that goes with it. */
export interface StepResult {
	readonly answer: Exclude<BuildAnswer, { ok: false }>;
	readonly body: Uint8Array;
}

/** What packages' scripts run on, and in. */
export interface ScriptsTree {
	readonly base: Base;
	readonly packages: Layer;
}

type Step = Exclude<BuildRequest, { step: "source" }>;

/**
 * Runs a step of an installation in a sandbox of its own, and is its way to the registries meanwhile.
 * @param spool takes what is put. @param tree for packages' scripts: what they run on. @throws BerthError when we are to blame
 */
export async function runStep(
	request: Step,
	payload: Uint8Array,
	sources: PackageSources,
	{ sandboxes, installMs, silenceMs, listener }: StepOptions & { readonly listener: BuildListener },
	spool?: ScratchFile,
	tree?: ScriptsTree,
): Promise<StepResult | BuildFailure> {
	const startedAt = performance.now();
	const isScripts = request.step === "scripts";
	using fetches = new RegistryFetches(sources, silenceMs);
	const tell = () =>
		listener.progress({
			phase: "install",
			fetches: fetches.count,
			fetchedBytes: fetches.bytes,
			unpackedBytes: spool?.sizeBytes ?? 0,
		});
	const run = await (async () => {
		using sandbox = await sandboxes.acquire(tree?.base);
		if (tree !== undefined) await sandbox.graft(tree.packages);
		return await sandbox.run(request, payload, installMs + HANDOVER_MS, async (head, body) => {
			const question = questionOf(head);
			tell();
			// What runs is packages' own code, which has no network: neither has it the registries.
			if (isScripts && question.kind !== "put") throw new Error("it asks for more than a script may");
			if (question.kind === "fetch") return await fetches.fetch(question.host, question.path);
			if (question.kind === "read") return await fetches.read(question.handle);
			if (spool === undefined || spool.sizeBytes + body.byteLength > DEPENDENCY_LIMITS.treeBytes + 1024)
				throw new Error("it puts more than it may");
			await spool.append(body);
			return { head: {} };
		});
	})();
	const took = `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
	if (!isScripts)
		listener.line({ kind: "step", text: `asked the registry ${fetches.count} times, got ${sizeText(fetches.bytes)} in ${took}` });
	if (run.outcome !== "answered")
		return stopped(run, installMs, isScripts ? "Running the packages' scripts" : "Installing the dependencies");
	const answer = parseBuildAnswer(run.answer);
	if (answer === undefined) throw new BerthError("build_platform_error", `The sandbox of ${request.step} gave an answer that isn't one.`);
	if (answer.ok === false) return { code: answer.code, phase: answer.phase, message: answer.message, diagnostics: answer.diagnostics };
	return { answer, body: run.body };
}

function stopped({ outcome, message }: Exclude<BuildRun, { outcome: "answered" }>, installMs: number, what: string): BuildFailure {
	if (outcome === "timed_out") return installFailure("build_timed_out", `${what} took longer than ${installMs} ms and was stopped.`);
	if (outcome === "out_of_memory")
		return installFailure("install_failed", `${what} used more memory than a build may; leave out what the function doesn't need.`);
	return installFailure("install_failed", `${what} ended before it was done: ${message}`);
}

export function installFailure(code: BuildFailure["code"], message: string): BuildFailure {
	return { code, phase: "install", message, diagnostics: [] };
}
