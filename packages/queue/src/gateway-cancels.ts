import { BerthError, newId } from "@berth/contracts";
import { guarded, type Redis, Subscription } from "@berth/redis";
import { CANCEL_QUESTIONS, cancelAnswersOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";

/** How long the gateways have to say whether they wait for an invocation, milliseconds. */
const ANSWER_MS = 1000;

/** Said to every gateway: cancel that one, if you wait for it. */
interface Question {
	readonly id: string;
	readonly answerTo: string;
	readonly invocation: string;
	readonly project: string;
}
interface Answer {
	readonly id: string;
	readonly waited: boolean;
}

export interface GatewayCancelsParts {
	/** For `command` use. */
	readonly redis: Redis;
	/** For `subscriber` use. */
	readonly subscriber: Redis;
	readonly gatewayId: string;
	/** As `InvocationQueue.cancel`. */
	readonly cancel: (id: string, project: string) => boolean;
	readonly log: QueueLogger;
}

/**
 * Cancels interactive invocations by their id at whichever gateway waits for them: only that one knows of them until they
 * are settled, and nothing is written down for it on their way. It owns neither connection.
 */
export class GatewayCancels {
	readonly #parts: GatewayCancelsParts;
	readonly #channel: string;
	readonly #asked = new Map<string, (waited: boolean) => void>();
	readonly #subscription: Subscription;

	constructor(parts: GatewayCancelsParts) {
		const { subscriber, gatewayId, log } = parts;
		this.#parts = parts;
		this.#channel = cancelAnswersOf(gatewayId);
		const onMessage = (text: string, channel: string) => {
			if (channel === CANCEL_QUESTIONS) void this.#answer(JSON.parse(text) as Question);
			else this.#take(JSON.parse(text) as Answer);
		};
		this.#subscription = new Subscription(subscriber, [CANCEL_QUESTIONS, this.#channel], { onMessage }, log);
	}

	/** Resolves when it hears questions and answers. */
	get listening(): Promise<void> {
		return this.#subscription.listening;
	}

	/** @returns whether some gateway waits for it @throws BerthError `unavailable`, also when a gateway doesn't answer and no other waits for it */
	async ask(invocation: string, project: string): Promise<boolean> {
		const { redis } = this.#parts;
		const id = newId("job");
		const over = Promise.withResolvers<boolean>();
		let [missing, denied] = [Number.POSITIVE_INFINITY, 0];
		this.#asked.set(id, (waited) => {
			if (!waited) denied++;
			if (waited || denied >= missing) over.resolve(waited);
		});
		const timer = setTimeout(() => over.reject(silent()), ANSWER_MS);
		// Nobody may be waiting yet when it is late.
		over.promise.catch(() => undefined);
		try {
			const question: Question = { id, answerTo: this.#channel, invocation, project };
			// This gateway hears itself, too, unless its connection is being made again.
			missing = await guarded(redis, "cancelling an invocation", () => redis.publish(CANCEL_QUESTIONS, JSON.stringify(question)));
			if (missing === 0) throw silent();
			if (denied >= missing) over.resolve(false);
			return await over.promise;
		} finally {
			clearTimeout(timer);
			this.#asked.delete(id);
		}
	}

	async #answer({ id, answerTo, invocation, project }: Question): Promise<void> {
		const { redis, cancel, log } = this.#parts;
		const answer: Answer = { id, waited: cancel(invocation, project) };
		try {
			await redis.publish(answerTo, JSON.stringify(answer));
		} catch (error) {
			log.warn({ error, invocation }, "another gateway couldn't be told whether this one waits for an invocation");
		}
	}

	#take({ id, waited }: Answer): void {
		this.#asked.get(id)?.(waited);
	}
}

function silent(): BerthError {
	return new BerthError(
		"unavailable",
		`cancelling an invocation: not every gateway said within ${ANSWER_MS} ms whether it waits for it; try again`,
	);
}
