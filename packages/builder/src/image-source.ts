import { BerthError, type BuildFailure, parseBuildAnswer, type Version } from "@berth/contracts";
import type { ScratchFile } from "@berth/registry";
import { sizeText } from "./build-listener.js";
import { buildDockerfile } from "./dockerfile-build.js";
import { IMAGE_ENTRY, imageEntries, putImageBytes } from "./image-layer.js";
import { type Bundle, type CodeLayerBuild, requestOf, stopped } from "./source-step.js";

/** An image becomes one layer, a whole root file system; what a registry has is fetched first, and what a Dockerfile makes is made. */
export async function unpackImage(version: Version, source: Uint8Array, options: CodeLayerBuild): Promise<Bundle | BuildFailure> {
	const { listener, stores, sandboxes, timeoutMs } = options;
	const startedAt = performance.now();
	const archive = await archiveOf(version, source, options);
	if ("code" in archive) return archive;
	const madeAt = performance.now();
	listener.line({ kind: "step", text: `unpacking the image (${sizeText(archive.byteLength)})` });
	const spool = await stores.images.scratchFile();
	try {
		using sandbox = await sandboxes.acquire();
		const request = { ...requestOf(version, options.sources.registries, false), kind: "image" } as const;
		const run = await sandbox.run(request, archive, timeoutMs, async (_head, body) => {
			await putImageBytes(spool, body);
			return { head: {} };
		});
		if (run.outcome !== "answered") return failed(spool, stopped(run, timeoutMs));
		const answer = parseBuildAnswer(run.answer);
		if (answer?.ok === false) return failed(spool, { code: answer.code, phase: answer.phase, message: answer.message, diagnostics: [] });
		if (answer?.ok !== "image") throw new BerthError("build_platform_error", "The build sandbox gave an answer that isn't one.");
		const files = imageEntries(run.body, spool);
		if ("code" in files) return failed(spool, files);
		const isBuilt = version.source.kind === "dockerfile";
		const phases = {
			unpackMs: performance.now() - (isBuilt ? madeAt : startedAt),
			bundleMs: isBuilt ? madeAt - startedAt : 0,
			checkMs: 0,
		};
		return { answer: { ok: true, listBytes: 0, entry: IMAGE_ENTRY, needsDependencies: false, warnings: [], phases }, files, spool };
	} catch (error) {
		await spool[Symbol.asyncDispose]();
		throw error;
	}
}

async function archiveOf(version: Version, source: Uint8Array, options: CodeLayerBuild): Promise<Uint8Array | BuildFailure> {
	const { listener } = options;
	if (version.source.kind === "image") return source;
	if (version.source.kind === "dockerfile") return await buildDockerfile(version, source, options);
	const { reference } = JSON.parse(Buffer.from(source).toString()) as { reference: string };
	listener.line({ kind: "step", text: `fetching ${reference}` });
	try {
		const { archive, digest } = await options.fetchImage(reference, version.project);
		listener.line({ kind: "step", text: `it is ${digest}` });
		return archive;
	} catch (error) {
		if (!(error instanceof BerthError) || !isRefusal(error.code)) throw error;
		return { code: error.code, phase: "unpack", message: error.message, diagnostics: [] };
	}
}

async function failed(spool: ScratchFile, failure: BuildFailure): Promise<BuildFailure> {
	await spool[Symbol.asyncDispose]();
	return failure;
}

/** What a registry, or an image's name, is to blame for: another try would end the same. */
function isRefusal(code: BerthError["code"]): code is "image_not_found" | "image_rejected" | "registry_failed" | "invalid_request" {
	return code === "image_not_found" || code === "image_rejected" || code === "registry_failed" || code === "invalid_request";
}
