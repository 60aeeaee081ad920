import { CommandFailure, EXIT } from "./exit-codes.js";

const SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Hears requests to stop until it is disposed of. A terminal's SIGINT and the SIGTERM of a parent that got it too are one
 * request; the same signal again is another.
 * @param heard told how many there were, and the signal
 * @param signals that ask for it; a terminal's end is one unless others are named
 */
export function hearStops(heard: (times: number, signal: NodeJS.Signals) => void, signals = SIGNALS): Disposable {
	const counts = new Map<NodeJS.Signals, number>();
	let times = 0;
	const hear = (signal: NodeJS.Signals) => {
		const count = (counts.get(signal) ?? 0) + 1;
		counts.set(signal, count);
		if (count <= times) return;
		times = count;
		heard(times, signal);
	};
	for (const signal of signals) process.on(signal, hear);
	return {
		[Symbol.dispose]() {
			for (const signal of signals) process.off(signal, hear);
		},
	};
}

/**
 * A signal that the first request to stop sets off, for work that cleans up after itself; the second one ends the process
 * where it is. Dispose of it when the work is done.
 */
export class Interruption implements Disposable {
	readonly #controller = new AbortController();
	readonly #hearing: Disposable;

	/**
	 * @param said what the interrupted command says in the end
	 * @param heard called at the first request
	 */
	constructor(said: string, heard: () => void) {
		this.#hearing = hearStops((times) => {
			if (times > 1) process.exit(EXIT.interrupted);
			this.#controller.abort(new CommandFailure(EXIT.interrupted, said));
			heard();
		});
	}

	get signal(): AbortSignal {
		return this.#controller.signal;
	}

	[Symbol.dispose](): void {
		this.#hearing[Symbol.dispose]();
	}
}
