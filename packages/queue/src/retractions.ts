import type { QueueLogger } from "./logger.js";

const RETRY_MS = 500;
/** More than these can only pile up in an outage under load; the oldest are given up then. */
const MOST = 10_000;

/** What a caller was told isn't accepted, though Redis may have taken it: it is taken back as soon as Redis answers. */
export class Retractions {
	readonly #log: QueueLogger;
	readonly #waiting = new Map<string, () => Promise<unknown>>();
	#timer: NodeJS.Timeout | undefined;

	constructor(log: QueueLogger) {
		this.#log = log;
	}

	/** @param takeBack is called until it resolves; taking back what isn't there does nothing */
	add(id: string, takeBack: () => Promise<unknown>): void {
		const [oldest] = this.#waiting.size < MOST ? [] : this.#waiting.keys();
		if (oldest !== undefined) {
			this.#waiting.delete(oldest);
			this.#log.warn({ id: oldest }, "what was refused in doubt may be run: too much else is to be taken back");
		}
		this.#waiting.set(id, takeBack);
		this.#timer ??= setTimeout(() => void this.#round(), RETRY_MS);
	}

	stop(): void {
		clearTimeout(this.#timer);
		this.#waiting.clear();
	}

	async #round(): Promise<void> {
		for (const [id, takeBack] of this.#waiting) {
			try {
				await takeBack();
				this.#waiting.delete(id);
			} catch (error) {
				this.#log.debug({ error, left: this.#waiting.size }, "what was refused in doubt can't be taken back yet");
				break;
			}
		}
		this.#timer = this.#waiting.size === 0 ? undefined : setTimeout(() => void this.#round(), RETRY_MS);
	}
}
