import { FIXED_LIMITS, type InvocationRequest, SECOND_MS, type Settlement } from "@berth/contracts";
import { sharedNow } from "@berth/redis";
import type { NodeChange } from "./node-ports.js";

/** How long after its deadline a settlement may still arrive before the gateway looks itself, milliseconds. */
const GRACE_MS = 500;
const SWEEP_MS = 100;

/** An interactive invocation that a caller waits for. */
export interface Pending {
	readonly request: InvocationRequest;
	readonly node: string;
	/** The job it travels in, once it is in one. */
	job?: string;
	/** Which start of the server that was sent to, as `startOf`. */
	sentTo?: string | undefined;
	/** Whether the job is known to be in the queue. */
	accepted: boolean;
	/** What happened to its node while its job was on the way. */
	overtakenBy?: NodeChange;
	readonly resolve: (settlement: Settlement) => void;
	readonly reject: (error: unknown) => void;
}

/** What a gateway waits for, by id. One timer looks for overdue ones while there are any. */
export class PendingInvocations {
	readonly #byId = new Map<string, Pending>();
	readonly #onOverdue: (overdue: Pending[]) => void;
	#timer: NodeJS.Timeout | undefined;

	/** @param onOverdue is told again every 100 ms until they are taken out */
	constructor(onOverdue: (overdue: Pending[]) => void) {
		this.#onOverdue = onOverdue;
	}

	get size(): number {
		return this.#byId.size;
	}

	add(pending: Pending): void {
		this.#byId.set(pending.request.id, pending);
		this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS);
	}

	get(id: string): Pending | undefined {
		return this.#byId.get(id);
	}

	has(pending: Pending): boolean {
		return this.#byId.get(pending.request.id) === pending;
	}

	/** Takes one out; undefined when nobody waits for it (any more). */
	take(id: string): Pending | undefined {
		const pending = this.#byId.get(id);
		if (pending === undefined) return undefined;
		this.#byId.delete(id);
		if (this.#byId.size === 0) this.stop();
		return pending;
	}

	all(): Pending[] {
		return [...this.#byId.values()];
	}

	/** Stops the timer; `add` starts it again. */
	stop(): void {
		clearInterval(this.#timer);
		this.#timer = undefined;
	}

	#sweep(): void {
		const nowMs = sharedNow();
		const overdue = this.all().filter(({ request }) => nowMs > latestMs(request) + GRACE_MS);
		if (overdue.length > 0) this.#onOverdue(overdue);
	}
}

/** When the caller stops waiting: as the request says, else when everything it may take has passed. */
function latestMs({ expiresAtMs, acceptedAtMs, timeoutMs }: InvocationRequest): number {
	return expiresAtMs ?? acceptedAtMs + FIXED_LIMITS.startMs + timeoutMs + 5 * SECOND_MS;
}
