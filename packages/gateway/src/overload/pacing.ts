import { setTimeout as wait } from "node:timers/promises";
import { BerthError, SECOND_MS } from "@berth/contracts";
import { LONGEST_TURN_MS, Paces } from "./paces.js";
import type { Watch } from "./self-watch.js";

const LOOK_MS = SECOND_MS / 5;
/** So many are held at most, those that wait for their turn and those that are refused; one more is refused at once. */
const MOST_HELD = 1024;

/** How it went on with a request that didn't begin at once. */
export type Paced = "waited" | "refused";

/** Has requests begin at the pace of their projects, by how far behind this process is. */
export class Pacing {
	readonly #paces = new Paces();
	readonly #watch: Watch;
	readonly #onPaced: (paced: Paced) => void;
	readonly #timer = setInterval(() => this.#look(), LOOK_MS).unref();
	#held = 0;

	/** It owns the watch. @param onPaced told of each that doesn't begin at once */
	constructor(watch: Watch, onPaced: (paced: Paced) => void) {
		this.#watch = watch;
		this.#onPaced = onPaced;
	}

	/**
	 * Resolves when one more request of a project has its turn; undefined: it has it now. One that has none is told so as late: a client that asks
	 * again as soon as it is answered asks the less often, over each of its connections. @throws BerthError too_busy
	 */
	take(project: string): Promise<void> | undefined {
		const waitMs = this.#paces.take(project);
		return waitMs === 0 ? undefined : this.#hold(project, waitMs);
	}

	close(): void {
		clearInterval(this.#timer);
		this.#watch.close();
	}

	async #hold(project: string, waitMs: number | undefined): Promise<void> {
		const isFull = this.#held >= MOST_HELD;
		this.#onPaced(waitMs === undefined || isFull ? "refused" : "waited");
		if (isFull) throw tooMany(project);
		this.#held++;
		try {
			await wait(waitMs ?? LONGEST_TURN_MS);
		} finally {
			this.#held--;
		}
		if (waitMs === undefined) throw tooMany(project);
	}

	#look(): void {
		this.#paces.look(this.#watch.seen());
		// One project alone has no pace, so nobody has to know.
		this.#watch.measure(this.#paces.shared);
	}
}

function tooMany(project: string): BerthError {
	const detail = `the gateway is behind, and project ${project} asks for more than its part of what it can do; try again`;
	return new BerthError("too_busy", detail, { extra: { retryAfterMs: SECOND_MS } });
}
