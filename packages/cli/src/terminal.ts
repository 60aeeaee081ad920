import { once } from "node:events";
import { styleText } from "node:util";

/** Of what isn't a terminal. */
const COLUMNS = 80;
const CLEAR_LINE = "\x1b[K";

type Style = "bold" | "dim" | "red" | "yellow" | "green";

/** What controls a terminal, or turns the order of what stands in it; but line ends, tabs, and the styles below. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones
const CONTROLS = /(\x1b\[(?:1|2|22|3[1239])m)|(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;

/** Others' text as it may be shown: a control character is its picture (`␛`), or `�` where it has none. */
function shown(text: string): string {
	return text.replace(CONTROLS, (control: string, style?: string) => style ?? pictureOf(control.charCodeAt(0)));
}

function pictureOf(code: number): string {
	if (code < 0x20) return String.fromCharCode(0x2400 + code);
	return code === 0x7f ? "\u2421" : "\ufffd";
}

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
	readonly #decoder = new TextDecoder();
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

	/** A piece of a result that comes in pieces, as soon as it is there; on a terminal it can't control it. */
	async pour(piece: Uint8Array): Promise<void> {
		this.clearStatus();
		const data = this.interactive ? shown(this.#decoder.decode(piece, { stream: true })) : piece;
		if (!this.#stdout.write(data)) await once(this.#stdout, "drain");
	}

	/** A line of the result; on a terminal it can't control it. */
	print(line: string): void {
		this.write(`${this.interactive ? shown(line) : line}\n`);
	}

	/** A result for programs: one line of JSON. */
	json(value: unknown): void {
		this.write(`${JSON.stringify(value)}\n`);
	}

	/** A line about the result; on a terminal it can't control it. */
	note(line: string): void {
		this.clearStatus();
		this.#stderr.write(`${this.#redraws ? shown(line) : line}\n`);
	}

	/** A line of progress on stderr, in the place of the one before. @returns false, and shows nothing, where that can't be */
	status(line: string): boolean {
		if (!this.#redraws) return false;
		this.#stderr.write(`\r${CLEAR_LINE}${shown(line)}`);
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
