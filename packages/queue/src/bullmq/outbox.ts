import type { InvocationRequest } from "@berth/contracts";
import { KIB } from "@berth/contracts";
import type { Pending } from "../pending.js";

/** Bounds of one job. */
const MOST_REQUESTS = 64;
const MOST_BYTES = 512 * KIB;

/** Puts a batch into the node's queue as one job; never rejects (it settles the fate of the batch itself). */
export type SendBatch = (batch: Pending[]) => Promise<void>;

/**
 * Invocations on their way to one node. What is submitted in one turn of the event loop, or while the
 * job before is being added, becomes one job.
 */
export class Outbox {
	readonly #send: SendBatch;
	#waiting: Pending[] = [];
	#busy = false;

	constructor(send: SendBatch) {
		this.#send = send;
	}

	push(pending: Pending): void {
		this.#waiting.push(pending);
		this.#schedule();
	}

	#schedule(): void {
		if (this.#busy) return;
		this.#busy = true;
		setImmediate(() => void this.#flush());
	}

	async #flush(): Promise<void> {
		await this.#send(this.#take());
		this.#busy = false;
		if (this.#waiting.length > 0) this.#schedule();
	}

	#take(): Pending[] {
		let bytes = 0;
		let count = 0;
		for (const { request } of this.#waiting) {
			bytes += requestBytes(request);
			if (count > 0 && (count === MOST_REQUESTS || bytes > MOST_BYTES)) break;
			count++;
		}
		return this.#waiting.splice(0, count);
	}
}

/** About how many bytes a request is: its body and headers dominate. */
function requestBytes({ body, trigger }: InvocationRequest): number {
	const bodyBytes = "text" in body ? body.text.length : "base64" in body ? body.base64.length : 0;
	if (trigger.kind === "event") return KIB + bodyBytes;
	let bytes = KIB + bodyBytes + trigger.request.url.length;
	for (const [name, value] of trigger.request.headers) bytes += name.length + value.length;
	return bytes;
}
