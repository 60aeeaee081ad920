import type { BuildListener } from "@berth/builder";
import { type BuildFailure, type BuildLogLine, type BuildProgress, type Diagnostic, logTexts, type Version } from "@berth/contracts";
import type { FunctionRegistry } from "@berth/registry";
import type { Logger } from "@berth/telemetry";

/** How often progress is told, milliseconds. */
const PROGRESS_MS = 200;

/**
 * What a version's build says, sent on without waiting: a Redis that is away costs lines and no build. Commands of one
 * connection keep their order, so what was said before a state is set comes before it in the log.
 */
export class VersionLog implements BuildListener {
	readonly #logs: FunctionRegistry["logs"];
	readonly #version: Version;
	readonly #log: Logger;
	#toldAtMs = 0;

	constructor(logs: FunctionRegistry["logs"], version: Version, log: Logger) {
		this.#logs = logs;
		this.#version = version;
		this.#log = log;
	}

	line({ text, ...more }: BuildLogLine): void {
		this.#send(
			this.#logs.add(
				this.#version,
				logTexts(text).map((one) => ({ ...more, text: one })),
			),
		);
	}

	progress(progress: BuildProgress): void {
		if (performance.now() - this.#toldAtMs < PROGRESS_MS) return;
		this.#toldAtMs = performance.now();
		this.#send(this.#logs.tell(this.#version, progress));
	}

	diagnostics(all: readonly Diagnostic[]): void {
		for (const one of all) this.line({ kind: one.severity, text: textOf(one) });
	}

	/** What a failure says beyond its first line, which the state that follows has. */
	failure({ message }: BuildFailure): void {
		const [, ...more] = message.split(/ (?:npm|pip|It) said: | \| |\n/);
		for (const text of more) this.line({ kind: "error", text });
	}

	#send(sending: Promise<void>): void {
		const { project, function: name, number } = this.#version;
		sending.catch((err: unknown) => this.#log.debug({ err, build: `${project}/${name}:${number}` }, "lines of a build log are lost"));
	}
}

function textOf({ file, line, column, message, lineText }: Diagnostic): string {
	const place = [file, line, column].filter((part) => part !== undefined).join(":");
	return `${place === "" ? "" : `${place}: `}${message}${lineText === undefined ? "" : `\n    ${lineText}`}`;
}
