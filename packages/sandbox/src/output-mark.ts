import { randomBytes } from "node:crypto";

/** Nothing that a function prints is likely to have one, so little is held back for looking like a mark's beginning. */
const FIRST = 0;

/** A text that nobody can have printed before it was told: a NUL, then 80 bits of chance. */
export function newOutputMark(): string {
	return `\0${randomBytes(10).toString("hex")}`;
}

/** Cuts a stream where a mark stands in it, wherever its pieces are cut. What follows the mark is dropped. */
export class MarkScanner {
	readonly #mark: Buffer;
	/** The end of what came, if it may be the beginning of the mark. */
	#held = Buffer.alloc(0);
	#found = false;

	constructor(mark: string) {
		this.#mark = Buffer.from(mark);
	}

	get found(): boolean {
		return this.#found;
	}

	/** @returns what of it stands before the mark */
	take(chunk: Buffer): Buffer {
		if (this.#found) return Buffer.alloc(0);
		const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
		const at = bytes.indexOf(this.#mark);
		this.#found = at >= 0;
		const from = this.#found ? at : this.#beginningIn(bytes);
		this.#held = this.#found ? Buffer.alloc(0) : Buffer.from(bytes.subarray(from));
		return bytes.subarray(0, from);
	}

	/** What was held back and turned out to be no mark, when the stream has ended. */
	rest(): Buffer {
		const held = this.#held;
		this.#held = Buffer.alloc(0);
		return held;
	}

	/** Where the mark may begin in the last bytes; their length when it can't. */
	#beginningIn(bytes: Buffer): number {
		const from = Math.max(0, bytes.length - this.#mark.length + 1);
		const at = bytes.indexOf(FIRST, from);
		return at < 0 ? bytes.length : at;
	}
}
