import { HEADERS } from "@berth/contracts";
import { type Dispatcher, Pool } from "undici";

/** What a load sends, again and again. */
export interface LoadRequest {
	readonly url: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string;
}

/** How one request of a load ended: an outcome, a status (`http_429`), or `no_answer`. */
export type Ending = string;

/** Longer than any load waits, milliseconds. */
const ANSWER_MS = 60_000;
const SUCCEEDED = "succeeded";

/**
 * Sends one request again and again, over connections that stay. Nothing of an answer is kept but how it ended: the
 * generator's own work is part of what a small machine has to do. Whoever opened it disposes of it.
 */
export class LoadTarget implements AsyncDisposable {
	readonly #pool: Pool;
	readonly #options: Dispatcher.DispatchOptions;
	readonly #signal: AbortSignal | undefined;
	readonly #stop = () => void this.#pool.destroy();

	/**
	 * @param connections most connections at a time; undefined: as many as there are requests
	 * @param signal ends what is under way with `no_answer`
	 */
	constructor(request: LoadRequest, connections: number | undefined, signal?: AbortSignal) {
		const url = new URL(request.url);
		this.#pool = new Pool(url.origin, {
			connections: connections ?? null,
			pipelining: 1,
			headersTimeout: ANSWER_MS,
			bodyTimeout: ANSWER_MS,
		});
		this.#options = { method: "POST", path: url.pathname + url.search, headers: { ...request.headers }, body: request.body };
		this.#signal = signal;
		signal?.addEventListener("abort", this.#stop, { once: true });
	}

	/** Sends it once; `ended` is told when the answer's last byte is there. */
	send(ended: (ending: Ending) => void): void {
		let ending: Ending = "no_answer";
		this.#pool.dispatch(this.#options, {
			onRequestStart: () => undefined,
			onResponseStart: (_controller, status, headers) => {
				ending = endingOf(status, headers[HEADERS.outcome]);
			},
			onResponseData: () => undefined,
			onResponseEnd: () => ended(ending),
			onResponseError: () => ended("no_answer"),
		});
	}

	[Symbol.asyncDispose](): Promise<void> {
		this.#signal?.removeEventListener("abort", this.#stop);
		return this.#pool.destroy();
	}
}

/** Whether it ended as it should. */
export function succeeded(ending: Ending): boolean {
	return ending === SUCCEEDED;
}

function endingOf(status: number, outcome: string | readonly string[] | undefined): Ending {
	if (typeof outcome === "string") return outcome;
	return status < 400 ? SUCCEEDED : `http_${status}`;
}
