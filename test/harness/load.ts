import type { Deployed } from "./functions.js";

/** How the invocations of a light load ended: an outcome, a problem's code, or `no answer`. */
export type Endings = ReadonlyMap<string, number>;

/** A few clients that invoke a function again and again, whatever happens; started by whoever stops it. */
export class LightLoad {
	readonly #running: readonly Promise<void>[];
	readonly #endings = new Map<string, number>();
	#stopped = false;

	constructor(deployed: Deployed, clients = 4) {
		this.#running = Array.from({ length: clients }, () => this.#invokeOn(deployed));
	}

	/** Invocations that succeeded so far. */
	get succeeded(): number {
		return this.#endings.get("succeeded") ?? 0;
	}

	/** Waits for what is under way; an invocation that never ends makes this hang, and the test fail. */
	async stop(): Promise<Endings> {
		this.#stopped = true;
		await Promise.all(this.#running);
		return this.#endings;
	}

	async #invokeOn(deployed: Deployed): Promise<void> {
		while (!this.#stopped) {
			const ending = await endingOf(deployed);
			this.#endings.set(ending, (this.#endings.get(ending) ?? 0) + 1);
			await new Promise((resolve) => setTimeout(resolve, 5));
		}
	}
}

async function endingOf(deployed: Deployed): Promise<string> {
	try {
		const answer = await deployed.invoke({});
		return answer.problem?.code ?? answer.outcome;
	} catch (error) {
		const { problem } = error as { problem?: { code: string } };
		return problem?.code ?? "no answer";
	}
}
