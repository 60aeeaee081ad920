import { CommandFailure, EXIT } from "./exit-codes.js";

/**
 * A signal that the first Ctrl-C (or SIGTERM) sets off, for work that cleans up after itself; the second one ends the
 * process where it is. Dispose of it when the work is done.
 */
export class Interruption implements Disposable {
	readonly #controller = new AbortController();

	/** @param said what the interrupted command says in the end */
	constructor(said: string, heard: () => void) {
		this.#hear = () => {
			if (this.signal.aborted) process.exit(EXIT.interrupted);
			this.#controller.abort(new CommandFailure(EXIT.interrupted, said));
			heard();
		};
		process.on("SIGINT", this.#hear);
		process.on("SIGTERM", this.#hear);
	}

	readonly #hear: () => void;

	get signal(): AbortSignal {
		return this.#controller.signal;
	}

	[Symbol.dispose](): void {
		process.off("SIGINT", this.#hear);
		process.off("SIGTERM", this.#hear);
	}
}
