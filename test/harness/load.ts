import type { Deployed } from "./functions.js";

/** How the invocations of a light load ended: an outcome, a problem's code, or `no answer`. */
export type Endings = ReadonlyMap<string, number>;

interface Ending {
	readonly code: string;
	readonly detail: string;
}

/** A few clients that invoke a function again and again, whatever happens; started by whoever stops it. */
export class LightLoad {
	readonly #running: readonly Promise<void>[];
	readonly #endings = new Map<string, number>();
	/** What those were told that failed. */
	readonly failures: string[] = [];
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
			this.#endings.set(ending.code, (this.#endings.get(ending.code) ?? 0) + 1);
			if (ending.code !== "succeeded") this.failures.push(`${ending.code}: ${ending.detail}`);
			await new Promise((resolve) => setTimeout(resolve, 5));
		}
	}
}

async function endingOf(deployed: Deployed): Promise<Ending> {
	try {
		const { problem, outcome } = await deployed.invoke({});
		return { code: problem?.code ?? outcome, detail: problem?.detail ?? "" };
	} catch (error) {
		const { problem, message } = error as Error & { problem?: { code: string; detail: string } };
		return problem ?? { code: "no answer", detail: message };
	}
}
