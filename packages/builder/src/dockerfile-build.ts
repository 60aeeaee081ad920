import { BerthError, type BuildFailure, parseBuildAnswer, type Version } from "@berth/contracts";
import { sizeText } from "./build-listener.js";
import { type Dockerfile, dockerfileFailure, type Instruction, readDockerfile } from "./dockerfile.js";
import type { DockerfileResult } from "./dockerfile-builder.js";
import { type CodeLayerBuild, filesOf, requestOf, stopped } from "./source-step.js";
import { type LayerEntry, writeLayer } from "./tar-writer.js";

/** Where the builder finds it, beside the source's files. */
const DOCKERFILE = ".berth.Dockerfile";
/** By this one of ours Docker leaves both out of what is copied. */
const IGNORE = ".dockerignore";
/** Lines of output that a log gets of one build, and that a failure repeats. */
const SHOWN = { lines: 200, last: 10 } as const;
const MOST_TEXT = 100;

/** Has the image of a version's Dockerfile built. @returns it as an archive */
export async function buildDockerfile(version: Version, source: Uint8Array, options: CodeLayerBuild): Promise<Uint8Array | BuildFailure> {
	const { dockerfiles, listener, sandboxes, sources, timeoutMs, installMs } = options;
	const path = version.manifest.dockerfile as string;
	if (dockerfiles === undefined) return dockerfileFailure("No Dockerfile is built on this node: the operator's settings have changed.");
	listener.line({ kind: "step", text: `reading the source (${sizeText(source.byteLength)})` });
	// Leased until the image is there: what the budget of memory has for it is what the Engine takes meanwhile.
	using sandbox = await sandboxes.acquire();
	const run = await sandbox.run(requestOf(version, sources.registries, false), source, timeoutMs);
	if (run.outcome !== "answered") return stopped(run, timeoutMs);
	const answer = parseBuildAnswer(run.answer);
	if (answer?.ok === false) return { code: answer.code, phase: answer.phase, message: answer.message, diagnostics: answer.diagnostics };
	if (answer?.ok !== true) throw new BerthError("build_platform_error", "The build sandbox gave an answer that isn't one.");
	const files = filesOf(answer, run.body);
	const read = readDockerfile(bytesOf(files, path), path, dockerfiles.label);
	if ("code" in read) return read;
	for (const { image, at } of read.images) {
		if (!(await dockerfiles.has(image)))
			return dockerfileFailure(absent(path, image, at), { ...placeOf(path, at), message: `there is no ${image}` });
	}
	const said = new Said(read, options);
	const result = await dockerfiles.build({
		context: writeLayer(contextOf(files, read.text)),
		dockerfile: DOCKERFILE,
		noCache: version.noCache === true,
		timeoutMs: installMs,
		onStep: (number, cached) => said.step(number, cached),
		onOutput: (text) => said.output(text),
	});
	return result.outcome === "built" ? result.archive : failureOf(result, said, path, installMs);
}

function bytesOf(files: readonly LayerEntry[], path: string): Uint8Array {
	const file = files.find((one) => one.path === path);
	if (file?.kind !== "file" || !("bytes" in file.content)) throw new BerthError("build_platform_error", "The build lost the Dockerfile.");
	return file.content.bytes;
}

function contextOf(files: readonly LayerEntry[], dockerfile: string): readonly LayerEntry[] {
	const ours = { [DOCKERFILE]: dockerfile, [IGNORE]: `${DOCKERFILE}\n${IGNORE}\n` };
	return [
		...files.filter(({ path }) => !(path in ours)),
		...Object.entries(ours).map(([path, text]): LayerEntry => ({ path, kind: "file", content: { bytes: Buffer.from(text) } })),
	];
}

function absent(path: string, image: string, { line }: Instruction): string {
	return `${path}:${line}: the Docker Engine has no image of the name ${image} that a Dockerfile may use, and fetches none by itself: the operator can pull it, or begin with another.`;
}

function placeOf(file: string, { line, text }: Instruction) {
	return { severity: "error", file, line, lineText: text.slice(0, MOST_TEXT) } as const;
}

/** What a build has said: the instructions as the Dockerfile has them, and of what they print as much as a log has room for. */
class Said {
	readonly #steps: Dockerfile["steps"];
	readonly #listener: CodeLayerBuild["listener"];
	readonly #own: readonly Instruction[];
	#lines = 0;
	/** The instruction that was begun last. */
	current: Instruction | undefined;
	last: string[] = [];

	constructor({ steps }: Dockerfile, { listener }: CodeLayerBuild) {
		this.#steps = steps;
		this.#listener = listener;
		this.#own = steps.filter((step) => step !== undefined);
	}

	step(number: number, cached: boolean): void {
		const step = this.#steps[number - 1];
		if (step === undefined) return;
		this.current = step;
		this.last = [];
		const text = `step ${this.#own.indexOf(step) + 1}/${this.#own.length}: ${short(step.text)}${cached ? " (cached)" : ""}`;
		this.#listener.line({ kind: "step", text });
	}

	output(text: string): void {
		this.last = [...this.last, text].slice(-SHOWN.last);
		this.#lines++;
		if (this.#lines <= SHOWN.lines) this.#listener.line({ kind: "step", text: `  ${text}` });
		if (this.#lines === SHOWN.lines) this.#listener.line({ kind: "step", text: "  … what it prints from here on isn't kept" });
	}

	where(): string {
		return this.current === undefined
			? ""
			: ` at step ${this.#own.indexOf(this.current) + 1}/${this.#own.length}, ${short(this.current.text)}`;
	}
}

function failureOf(result: Exclude<DockerfileResult, { outcome: "built" }>, said: Said, path: string, limitMs: number): BuildFailure {
	const last = said.last.length === 0 ? "" : ` It printed last: ${said.last.join(" / ").slice(-2000)}`;
	if (result.outcome === "timed_out") {
		const message = `${path} took longer than ${limitMs} ms and was stopped${said.where()}.${last}`;
		return { code: "build_timed_out", phase: "bundle", message, diagnostics: [] };
	}
	if (result.outcome === "too_large") {
		const message = `The image that ${path} makes has more than ${result.maxBytes} bytes as it is packed, the most there may be; begin with a smaller one, or copy what is needed out of a stage.`;
		return { code: "image_rejected", phase: "bundle", message, diagnostics: [] };
	}
	const message = result.message.slice(0, 1000);
	const diagnostics = said.current === undefined ? [] : [{ ...placeOf(path, said.current), message }];
	return dockerfileFailure(`${path} failed${said.where()}: ${message}.${last}`, ...diagnostics);
}

function short(text: string): string {
	// A bar stands between parts of a message.
	const one = text.replaceAll(" | ", "|");
	return one.length > MOST_TEXT ? `${one.slice(0, MOST_TEXT)}…` : one;
}
