import type { BuildFailure, Diagnostic } from "@berth/contracts";

/** A Dockerfile is a page or two. */
const MOST_BYTES = 64 * 1024;

/** What the Engine does by itself, with the operator's own network, isn't a tenant's to say: fetching (ADD, images), and instructions that nobody sees here (ONBUILD). */
const REFUSED: Readonly<Record<string, string>> = {
	ONBUILD: "ONBUILD is for images that others build on, and nobody builds on a function's",
};
const TAKEN = new Set(
	"ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER RUN SHELL STOPSIGNAL USER VOLUME WORKDIR".split(" "),
);
/** A name of an image as people write it; nothing in it that Docker would replace, or read as something else. */
const IMAGE = /^[a-z0-9][\w./:@-]{0,254}$/i;
const STAGE = /^[a-z][\w.-]{0,127}$/i;

/** A Dockerfile that was looked through: one instruction a line, as a builder may have it. */
export interface Dockerfile {
	readonly text: string;
	/** Images that it begins with or copies from. */
	readonly images: readonly { readonly image: string; readonly at: Instruction }[];
	/** What stands in `text`, by the builder's own numbers, from 1; undefined where we have put something. */
	readonly steps: readonly (Instruction | undefined)[];
}

/** As it stands in the Dockerfile; its line counts from 1. */
export interface Instruction {
	readonly text: string;
	readonly line: number;
}

/** Why a Dockerfile isn't taken. */
class Refusal extends Error {
	readonly line: number;

	constructor(line: number, message: string) {
		super(message);
		this.line = line;
	}
}

/**
 * Reads a Dockerfile and writes it anew, one instruction a line without comments and continuations: what is looked at here is what
 * the builder reads, whichever version it is of. Pure.
 * @param label that every image and container of it has
 */
export function readDockerfile(bytes: Uint8Array, path: string, label: string): Dockerfile | BuildFailure {
	try {
		return checked(instructionsIn(bytes), label);
	} catch (error) {
		if (!(error instanceof Refusal)) throw error;
		const { line, message } = error;
		return dockerfileFailure(`${path}:${line}: ${message}.`, { severity: "error", file: path, line, message });
	}
}

export function dockerfileFailure(message: string, ...diagnostics: readonly Diagnostic[]): BuildFailure {
	return { code: "build_failed", phase: "bundle", message, diagnostics };
}

/** Joins lines that go on in the next (Dockerfile reference, "Format"). */
function instructionsIn(bytes: Uint8Array): readonly Instruction[] {
	if (bytes.byteLength > MOST_BYTES) throw new Refusal(1, `a Dockerfile has at most ${MOST_BYTES} bytes`);
	const instructions: Instruction[] = [];
	let begun: Instruction | undefined;
	for (const [index, line] of textOf(bytes).split(/\r?\n/).entries()) {
		const number = index + 1;
		if (/[^\P{Cc}\t]/u.test(line)) throw new Refusal(number, "there is a control character in the line");
		if (/^[ \t]*#[ \t]*escape[ \t]*=/i.test(line)) throw new Refusal(number, "another escape character than the backslash isn't taken");
		if (/^[ \t]*(?:#|$)/.test(line)) continue;
		if (/\\\\[ \t]*$/.test(line)) throw new Refusal(number, "a line that ends with two backslashes isn't taken: put something after them");
		const part = line.replace(/\\[ \t]*$/, "");
		begun = begun === undefined ? { text: part.replace(/^[ \t]+/, ""), line: number } : { ...begun, text: begun.text + part };
		if (part !== line) continue;
		instructions.push(begun);
		begun = undefined;
	}
	if (begun !== undefined) instructions.push(begun);
	return instructions.map(({ text, line }) => ({ text: text.replace(/[ \t]+$/, ""), line }));
}

function textOf(bytes: Uint8Array): string {
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch {
		throw new Refusal(1, "a Dockerfile is UTF-8, and this one isn't");
	}
}

function checked(instructions: readonly Instruction[], label: string): Dockerfile {
	const images: { image: string; at: Instruction }[] = [];
	// Names of the stages that are finished, empty where there is none. The open one's isn't known to the builder yet: it would look for an
	// image of that name, or whose id begins so.
	const finished: string[] = [];
	let open: string | undefined;
	const steps: (Instruction | undefined)[] = [];
	const lines: string[] = [];
	for (const at of instructions) {
		const { word, rest } = wordOf(at);
		if (word === "FROM") {
			if (open !== undefined) finished.push(open);
			const { image, stage } = begin(at, rest);
			open = stage;
			if (image !== "scratch" && !finished.includes(image.toLowerCase())) images.push({ image, at });
		}
		if (word === "COPY") images.push(...copiedFrom(at, rest, finished).map((image) => ({ image, at })));
		if (word === "ADD") checkAdd(at, rest);
		lines.push(`${word} ${rest}`);
		steps.push(at);
		if (word !== "FROM") continue;
		lines.push(`LABEL ${label}=1`);
		steps.push(undefined);
	}
	if (open === undefined) throw new Refusal(1, "there is no FROM");
	return { text: `${lines.join("\n")}\n`, images, steps };
}

function wordOf({ text, line }: Instruction): { readonly word: string; readonly rest: string } {
	const [, name = "", rest = ""] = /^([A-Za-z]+)[ \t]+(.+)$/.exec(text) ?? [];
	const word = name.toUpperCase();
	if (TAKEN.has(word)) {
		if (rest.endsWith("\\")) throw new Refusal(line, "an instruction can't end with a backslash");
		return { word, rest };
	}
	throw new Refusal(line, REFUSED[word] ?? `${JSON.stringify((name || text).slice(0, 40))} isn't an instruction that is taken here`);
}

/** `FROM image [AS stage]`. @returns both; the stage's name is empty where it has none */
function begin({ line }: Instruction, rest: string): { readonly image: string; readonly stage: string } {
	if (rest.startsWith("--")) throw new Refusal(line, "FROM with --platform isn't taken: it is built for this machine");
	const [image = "", as, stage = "", ...more] = rest.split(/[ \t]+/);
	if (!IMAGE.test(image) || more.length > 0 || (as !== undefined && (as.toUpperCase() !== "AS" || !STAGE.test(stage))))
		throw new Refusal(line, "FROM is followed by an image's name, without variables or quotes, and perhaps AS and a stage's name");
	return { image, stage: stage.toLowerCase() };
}

/** `COPY --from=…`. @returns what isn't a stage before, by its name or its number from 0 */
function copiedFrom({ line }: Instruction, rest: string, finished: readonly string[]): readonly string[] {
	const flags: string[] = [];
	const words = rest.split(/[ \t]+/);
	while (words[0]?.startsWith("--")) flags.push(words.shift() as string);
	if (flags.length > 0 && /["'\\$]|[^\x20-\x7e\t]/.test(rest.slice(0, rest.length - words.join(" ").length)))
		throw new Refusal(line, "COPY's flags are taken without quotes, variables and backslashes");
	const from = flags.flatMap((flag) => (/^--from=/i.test(flag) ? [flag.slice("--from=".length)] : []));
	for (const image of from) {
		if (!IMAGE.test(image)) throw new Refusal(line, "COPY --from is followed by a stage's or an image's name");
		// A number that is too large for the builder is an image's name to it.
		if (isNumber(image) && Number(image) >= finished.length) throw new Refusal(line, `there is no stage ${image} before this one`);
	}
	return from.filter((image) => !isNumber(image) && !finished.includes(image.toLowerCase()));
}

function isNumber(name: string): boolean {
	return /^\d+$/.test(name);
}

/** What ADD fetches, it fetches from where the Engine is. */
function checkAdd({ line }: Instruction, rest: string): void {
	if (/[:$\\]|[^\x20-\x7e\t]/.test(rest))
		throw new Refusal(
			line,
			"ADD is taken for files of the source alone, without `:`, `$` and `\\`: COPY does the same with files of any name",
		);
}
