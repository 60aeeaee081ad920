import type { BuildFollower } from "@berth/client";
import type { BuildProgress, StoredLogLine } from "@berth/contracts";
import type { Terminal } from "../terminal.js";
import { bytesText } from "./units.js";

/**
 * A build as it goes, on stderr: a line for each layer and step; where lines can be drawn again, one below with how far it is.
 * What is wrong with the source isn't shown here: that is the deploy's answer.
 */
export class BuildView implements Required<Pick<BuildFollower, "onLine" | "onProgress">> {
	readonly #terminal: Terminal;

	constructor(terminal: Terminal) {
		this.#terminal = terminal;
	}

	readonly onLine = ({ kind, text, layer }: StoredLogLine): void => {
		if (kind === "state") this.#terminal.status(`${text} …`);
		if (kind === "layer") this.#terminal.note(this.#terminal.style(layer?.cached === true ? "dim" : "green", text));
		if (kind === "step") this.#terminal.note(this.#terminal.style("dim", text));
	};

	readonly onProgress = (progress: BuildProgress): void => {
		this.#terminal.status(progressText(progress));
	};
}

/** `install: 12 answers of the registry, 3.1 MiB; 0 B unpacked …` */
export function progressText({ phase, fetches, fetchedBytes, unpackedBytes }: BuildProgress): string {
	const unpacked = unpackedBytes > 0 ? `; ${bytesText(unpackedBytes)} unpacked` : "";
	return `${phase}: ${fetches} answers of the registry, ${bytesText(fetchedBytes)}${unpacked} …`;
}

/** A line as it is looked at later: with its time of day. */
export function buildLineText({ at, kind, text }: StoredLogLine, terminal: Terminal): string {
	const time = terminal.style("dim", at.slice(11, 23));
	if (kind === "error") return `${time} ${terminal.style("red", text)}`;
	return `${time} ${kind === "warning" ? terminal.style("yellow", text) : text}`;
}
