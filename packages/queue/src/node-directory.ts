import { BerthError, newId } from "@berth/contracts";
import type { Redis } from "ioredis";
import { closeRedis, guarded, untilReady } from "./connections.js";
import { answersOf, NODE_IDS, NODE_NEWS, nodeLeaseOf, questionsOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";
import type { Answered, Asked } from "./node-channels.js";
import type { NodeAnswer, NodeDirectory, NodeInfo, NodeQuestion } from "./ports.js";

const REFRESH_MS = 2000;
const ASK_TIMEOUT_MS = 5000;
/** How long a list that can't be refreshed is still believed: as long as a lease. */
const BELIEVED_MS = 10_000;

/** Told about a node that is listed no more, or under another incarnation. */
export type NodeGone = (node: NodeInfo) => void;

/** The nodes with a live lease on the fast Redis, as one gateway sees them. It owns both connections. */
export class RedisNodeDirectory implements NodeDirectory {
	readonly #redis: Redis;
	readonly #subscriber: Redis;
	readonly #log: QueueLogger;
	readonly #channel: string;
	readonly #asked = new Map<string, (answer: NodeAnswer) => void>();
	readonly #onGone: NodeGone | undefined;
	#nodes: readonly NodeInfo[] = Object.freeze([]);
	#freshAtMs = 0;
	#timer: NodeJS.Timeout | undefined;
	#refreshing: Promise<void> | undefined;

	/** @param redis for `gateway` use. @param subscriber for `subscriber` use */
	constructor(redis: Redis, subscriber: Redis, gatewayId: string, log: QueueLogger, onGone?: NodeGone) {
		this.#redis = redis;
		this.#subscriber = subscriber;
		this.#log = log;
		this.#channel = answersOf(gatewayId);
		this.#onGone = onGone;
	}

	/** Listens, reads the list once, and keeps it fresh until `close`. */
	async open(): Promise<void> {
		this.#subscriber.on("message", (channel: string, text: string) => {
			if (channel === this.#channel) this.#take(JSON.parse(text) as Answered);
			else void this.#refreshNow();
		});
		this.#subscriber.on("ready", () => void this.#listen());
		this.#timer = setInterval(() => void this.#refreshNow(), REFRESH_MS);
		if (await untilReady(this.#subscriber, REFRESH_MS)) await this.#listen();
		await this.#refreshNow();
	}

	nodes(): readonly NodeInfo[] {
		return this.#nodes;
	}

	async ask(node: string, question: NodeQuestion, timeoutMs = ASK_TIMEOUT_MS): Promise<NodeAnswer> {
		const id = newId("job");
		let timer: NodeJS.Timeout | undefined;
		const answer = new Promise<NodeAnswer>((resolve, reject) => {
			this.#asked.set(id, resolve);
			timer = setTimeout(() => reject(silent(node, timeoutMs)), timeoutMs);
		});
		// Nobody may be waiting yet when it times out.
		answer.catch(() => undefined);
		try {
			const asked: Asked = { id, answerTo: this.#channel, question };
			const heard = await guarded(this.#redis, () => this.#redis.publish(questionsOf(node), JSON.stringify(asked)));
			if (heard === 0) throw new BerthError("unavailable", `Node ${node} isn't connected.`);
			return await answer;
		} finally {
			clearTimeout(timer);
			this.#asked.delete(id);
		}
	}

	async close(): Promise<void> {
		clearInterval(this.#timer);
		await this.#refreshing;
		await Promise.all([closeRedis(this.#redis), closeRedis(this.#subscriber)]);
	}

	#take({ id, answer }: Answered): void {
		this.#asked.get(id)?.(answer);
	}

	async #listen(): Promise<void> {
		try {
			await this.#subscriber.subscribe(this.#channel, NODE_NEWS);
		} catch (error) {
			this.#log.debug({ error }, "news of nodes can't be heard until Redis is back");
		}
	}

	#refreshNow(): Promise<void> {
		this.#refreshing ??= this.#refresh().finally(() => {
			this.#refreshing = undefined;
		});
		return this.#refreshing;
	}

	async #refresh(): Promise<void> {
		try {
			this.#replace(await this.#read());
			this.#freshAtMs = performance.now();
		} catch (error) {
			this.#log.debug({ error }, "the list of nodes can't be read");
			// Without Redis nothing can be placed anyway: keep the list for as long as the leases would hold.
			if (performance.now() - this.#freshAtMs > BELIEVED_MS) this.#replace([]);
		}
	}

	async #read(): Promise<NodeInfo[]> {
		const ids = await this.#redis.smembers(NODE_IDS);
		if (ids.length === 0) return [];
		const leases = await this.#redis.mget(ids.map(nodeLeaseOf));
		const ended = ids.filter((_, at) => leases[at] === null);
		// A node that joins just now adds its id again with its next renewal.
		if (ended.length > 0) await this.#redis.srem(NODE_IDS, ...ended);
		return leases.filter((text) => text !== null).map((text) => JSON.parse(text) as NodeInfo);
	}

	#replace(nodes: NodeInfo[]): void {
		const before = this.#nodes;
		this.#nodes = Object.freeze(nodes.sort((a, b) => a.id.localeCompare(b.id)));
		for (const old of before) {
			if (!nodes.some(({ id, incarnation }) => id === old.id && incarnation === old.incarnation)) this.#onGone?.(old);
		}
	}
}

function silent(node: string, timeoutMs: number): BerthError {
	return new BerthError("unavailable", `Node ${node} didn't answer within ${timeoutMs} ms.`);
}
