import { styleText } from "node:util";

/** Of what isn't a terminal. */
const COLUMNS = 80;
const CLEAR_LINE = "\x1b[K";

type Style = "bold" | "dim" | "red" | "yellow" | "green";

/** Where a command prints: results to stdout, everything said about them to stderr. */
export class Terminal {
	/** Whether stdout is a terminal: then output may be redrawn. */
	readonly interactive: boolean;
	/** How many characters a line of a table may have. */
	readonly columns: number;
	/** Whether stderr is a terminal: then progress is one line that is drawn again. */
	readonly #redraws: boolean;
	readonly #colour: boolean;
	readonly #stdout: NodeJS.WritableStream;
	readonly #stderr: NodeJS.WritableStream;
	#statusShown = false;

	constructor(
		stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number },
		stderr: NodeJS.WritableStream & { readonly isTTY?: boolean },
		noColour: boolean,
	) {
		this.#stdout = stdout;
		this.#stderr = stderr;
		this.interactive = stdout.isTTY === true;
		this.columns = stdout.columns ?? COLUMNS;
		this.#redraws = stderr.isTTY === true;
		this.#colour = !noColour && stderr.isTTY === true && this.interactive;
	}

	/** A result: the bytes as they are. */
	write(data: string | Uint8Array): void {
		this.clearStatus();
		this.#stdout.write(data);
	}

	/** A line of the result. */
	print(line: string): void {
		this.write(`${line}\n`);
	}

	/** A result for programs: one line of JSON. */
	json(value: unknown): void {
		this.print(JSON.stringify(value));
	}

	/** A line about the result. */
	note(line: string): void {
		this.clearStatus();
		this.#stderr.write(`${line}\n`);
	}

	/** A line of progress on stderr, in the place of the one before. @returns false, and shows nothing, where that can't be */
	status(line: string): boolean {
		if (!this.#redraws) return false;
		this.#stderr.write(`\r${CLEAR_LINE}${line}`);
		this.#statusShown = true;
		return true;
	}

	/** Takes the line of progress away. */
	clearStatus(): void {
		if (!this.#statusShown) return;
		this.#statusShown = false;
		this.#stderr.write(`\r${CLEAR_LINE}`);
	}

	style(style: Style, text: string): string {
		return this.#colour ? styleText(style, text, { validateStream: false }) : text;
	}
}
