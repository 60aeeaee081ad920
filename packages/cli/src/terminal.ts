import { styleText } from "node:util";

type Style = "bold" | "dim" | "red" | "yellow" | "green";

/** Where a command prints: results to stdout, everything said about them to stderr. */
export class Terminal {
	/** Whether stdout is a terminal: then output may be redrawn. */
	readonly interactive: boolean;
	readonly #colour: boolean;
	readonly #stdout: NodeJS.WritableStream;
	readonly #stderr: NodeJS.WritableStream;

	constructor(
		stdout: NodeJS.WritableStream & { readonly isTTY?: boolean },
		stderr: NodeJS.WritableStream & { readonly isTTY?: boolean },
		noColour: boolean,
	) {
		this.#stdout = stdout;
		this.#stderr = stderr;
		this.interactive = stdout.isTTY === true;
		this.#colour = !noColour && stderr.isTTY === true && this.interactive;
	}

	/** A result: the bytes as they are. */
	write(data: string | Uint8Array): void {
		this.#stdout.write(data);
	}

	/** A line of the result. */
	print(line: string): void {
		this.#stdout.write(`${line}\n`);
	}

	/** A result for programs: one line of JSON. */
	json(value: unknown): void {
		this.print(JSON.stringify(value));
	}

	/** A line about the result. */
	note(line: string): void {
		this.#stderr.write(`${line}\n`);
	}

	style(style: Style, text: string): string {
		return this.#colour ? styleText(style, text, { validateStream: false }) : text;
	}
}
