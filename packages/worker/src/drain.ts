import type { NodeInHand } from "@berth/contracts";
import type { BuildSource, NodeMembership, WorkerSource } from "@berth/queue";

export interface DrainParts {
	readonly node: string;
	readonly membership: Pick<NodeMembership, "isDraining" | "setDrained">;
	readonly invocations: Pick<WorkerSource, "rest" | "resume" | "totals">;
	readonly builds: Pick<BuildSource, "rest" | "resume" | "running">;
}

/** An operator's word that this node is to take nothing new: what it has begun ends here, the rest is handed back. */
export class Drain {
	readonly #parts: DrainParts;
	/** One after another: what is said last holds. */
	#last: Promise<void> = Promise.resolve();

	constructor(parts: DrainParts) {
		this.#parts = parts;
	}

	/** Before it takes anything: it may have been drained before. */
	begin(): Promise<void> {
		return this.#next(async () => {
			if (this.#parts.membership.isDraining) await this.#rest();
		});
	}

	/** Saying it twice changes nothing. */
	set(drains: boolean): Promise<void> {
		return this.#next(() => this.#set(drains));
	}

	state(): NodeInHand {
		const { node, membership, invocations, builds } = this.#parts;
		const { interactive, background } = invocations.totals();
		const inHand = { interactive: interactive.inHand, background: background.inHand, builds: builds.running() };
		return { node, draining: membership.isDraining, ...inHand };
	}

	async #set(drains: boolean): Promise<void> {
		const { membership, invocations, builds } = this.#parts;
		if (drains) {
			await membership.setDrained(true);
			// Also where it drains already: it may have failed to hand back.
			await this.#rest();
		} else if (membership.isDraining) {
			await membership.setDrained(false);
			invocations.resume();
			await builds.resume();
		}
	}

	#next(act: () => Promise<void>): Promise<void> {
		const next = this.#last.catch(() => undefined).then(act);
		this.#last = next;
		return next;
	}

	async #rest(): Promise<void> {
		const { invocations, builds } = this.#parts;
		await Promise.all([invocations.rest(), builds.rest()]);
	}
}
