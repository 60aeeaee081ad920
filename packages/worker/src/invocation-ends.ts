import type { ProjectEvent, Settlement } from "@berth/contracts";
import type { Delivery, EndsFilter, EndsQuestion, NodeAnswer } from "@berth/queue";
import { Followers } from "./followers.js";

/** What an end takes in memory and on its way, bytes, about. */
const END_BYTES = 400;

interface End {
	readonly project: string;
	readonly event: ProjectEvent & { readonly function: string };
}

/** How attempts end on this node, for those who watch; whoever doesn't finds it in records. */
export class InvocationEnds {
	readonly #host: string;
	readonly #followers = new Followers<EndsFilter, End>(
		(filter, { project, event }) => filter.project === project && (filter.function === undefined || filter.function === event.function),
		() => END_BYTES,
	);

	/** @param host what this machine calls itself */
	constructor(host: string) {
		this.#host = host;
	}

	ended({ request }: Delivery, { attempt }: Settlement): void {
		if (!this.#followers.any) return;
		const { outcome, code, phases, finishedAtMs } = attempt;
		const event = {
			at: new Date(finishedAtMs).toISOString(),
			kind: "invocation" as const,
			what: outcome,
			function: request.function,
			version: request.version,
			invocation: request.id,
			attempt: attempt.attempt,
			runMs: phases.runMs,
			node: attempt.node,
			host: this.#host,
			...(code === undefined || code === outcome ? {} : { reason: code }),
		};
		this.#followers.offer({ project: request.project, event });
	}

	/** @throws BerthError too_busy */
	async answer({ follower, filter, ends }: EndsQuestion): Promise<NodeAnswer> {
		if (ends === true) this.#followers.forget(follower);
		const { items, dropped } = (ends === true ? undefined : await this.#followers.ask(follower, filter)) ?? { items: [], dropped: 0 };
		return { kind: "ends", events: items.map(({ event }) => event), dropped };
	}

	close(): void {
		this.#followers.close();
	}
}
