import { type InvocationRequest, KIB } from "@berth/contracts";
import type { Redis } from "@berth/redis";
import { Queue } from "bullmq";
import { Batcher } from "../batcher.js";
import { interactiveQueueOf, QUEUE_PREFIX } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { Pending } from "../pending.js";
import type { InteractiveEnvelope } from "./envelope.js";
import { SHORT_STREAM } from "./leases.js";

/** Bounds of one job. */
const BOUNDS = { mostItems: 64, mostBytes: 512 * KIB };

export interface NodeQueue {
	readonly queue: Queue<InteractiveEnvelope>;
	readonly outbox: Batcher<Pending>;
}

/** Puts a batch into a queue as one job; never rejects (it settles the fate of the batch itself). */
export type SendBatch = (queue: Queue<InteractiveEnvelope>, batch: Pending[]) => Promise<void>;

/** Each node's interactive queue and what is on its way there, made when it is first asked for. */
export class NodeQueues {
	readonly #redis: Redis;
	readonly #log: QueueLogger;
	readonly #send: SendBatch;
	readonly #underWay: () => number;
	readonly #nodes = new Map<string, NodeQueue>();

	/** @param underWay invocations that are waited for */
	constructor(redis: Redis, log: QueueLogger, send: SendBatch, underWay: () => number) {
		this.#redis = redis;
		this.#log = log;
		this.#send = send;
		this.#underWay = underWay;
	}

	of(node: string): NodeQueue {
		const known = this.#nodes.get(node);
		if (known !== undefined) return known;
		const queue = this.#open(node);
		const send = (batch: Pending[]) => this.#send(queue, batch);
		const bytesOf = ({ request }: Pending) => requestBytes(request);
		const made = { queue, outbox: new Batcher({ ...BOUNDS, send, bytesOf, underWay: this.#underWay }) };
		this.#nodes.set(node, made);
		return made;
	}

	all(): NodeQueue[] {
		return [...this.#nodes.values()];
	}

	/** The worker keeps the queue's metadata; nothing here may wait for Redis. */
	#open(node: string): Queue<InteractiveEnvelope> {
		const queue = new Queue<InteractiveEnvelope>(interactiveQueueOf(node), {
			connection: this.#redis,
			prefix: QUEUE_PREFIX,
			skipMetasUpdate: true,
			skipVersionCheck: true,
			skipWaitingForReady: true,
			...SHORT_STREAM,
		});
		queue.on("error", (error) => this.#log.debug({ error, node }, "interactive queue"));
		return queue;
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
