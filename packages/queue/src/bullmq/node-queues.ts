import type { Redis } from "@berth/redis";
import { Queue } from "bullmq";
import { interactiveQueueOf, QUEUE_PREFIX } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { Pending } from "../pending.js";
import type { InteractiveEnvelope } from "./envelope.js";
import { SHORT_STREAM } from "./leases.js";
import { Outbox } from "./outbox.js";

export interface NodeQueue {
	readonly queue: Queue<InteractiveEnvelope>;
	readonly outbox: Outbox;
}

/** Each node's interactive queue and what is on its way there, made when it is first asked for. */
export class NodeQueues {
	readonly #redis: Redis;
	readonly #log: QueueLogger;
	readonly #send: (queue: Queue<InteractiveEnvelope>, batch: Pending[]) => Promise<void>;
	readonly #nodes = new Map<string, NodeQueue>();

	/** @param send puts a batch into a queue and never rejects */
	constructor(redis: Redis, log: QueueLogger, send: (queue: Queue<InteractiveEnvelope>, batch: Pending[]) => Promise<void>) {
		this.#redis = redis;
		this.#log = log;
		this.#send = send;
	}

	of(node: string): NodeQueue {
		const known = this.#nodes.get(node);
		if (known !== undefined) return known;
		const queue = this.#open(node);
		const made = { queue, outbox: new Outbox((batch) => this.#send(queue, batch)) };
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
