import { BerthError, newId } from "@berth/contracts";
import { closeRedis, guarded, type Redis, Subscription } from "@berth/redis";
import { endGateway, joinAsGateway, readGateways, renewGateway, requireShared } from "./gateway-leases.js";
import { GoneNodes } from "./gone-nodes.js";
import { answersOf, NODE_NEWS, questionsOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";
import { type Answered, type Asked, NODE_LEASE_MS, type NodeNews } from "./node-channels.js";
import { readNodes } from "./node-leases.js";
import type { GatewayInfo, GoneNode, NodeAnswer, NodeChange, NodeDirectory, NodeInfo, NodeQuestion } from "./node-ports.js";

const REFRESH_MS = 2000;
const ASK_TIMEOUT_MS = 5000;
/** How long a list that can't be refreshed is still believed: as long as a lease. */
const BELIEVED_MS = NODE_LEASE_MS;
/** Workers renew their leases every few seconds: who lives is listed again by then, milliseconds. */
const RELISTED_MS = NODE_LEASE_MS;
const RELISTING =
	"not all workers may be listed yet: the fast Redis came back without their leases (it lost what it had, or was away for longer than they last), and they list themselves there again within seconds; try again";

/** Told about a node that isn't what it was. */
export type NodeChanged = (node: string, change: NodeChange) => void;

export interface NodeDirectoryParts {
	/** For `command` use. */
	readonly redis: Redis;
	/** For `subscriber` use. */
	readonly subscriber: Redis;
	readonly gatewayId: string;
	/** How it is listed itself; absent: not at all. */
	readonly self?: GatewayInfo | undefined;
	readonly log: QueueLogger;
	readonly onChange?: NodeChanged | undefined;
}

/** The nodes with a live lease on the fast Redis, as one gateway sees them. It owns both connections. */
export class RedisNodeDirectory implements NodeDirectory {
	readonly #redis: Redis;
	readonly #subscriber: Redis;
	readonly #log: QueueLogger;
	readonly #channel: string;
	readonly #self: GatewayInfo | undefined;
	readonly #asked = new Map<string, (answer: NodeAnswer) => void>();
	readonly #gone = new GoneNodes();
	readonly #onChange: NodeChanged | undefined;
	#nodes: readonly NodeInfo[] = Object.freeze([]);
	#freshAtMs = 0;
	/** Why the list couldn't be read the last time. */
	#unread: string | undefined;
	/** Until when nodes may have to list themselves again. */
	#relistedByMs = 0;
	#timer: NodeJS.Timeout | undefined;
	#refreshing: Promise<void> | undefined;
	#stale = false;

	constructor({ redis, subscriber, gatewayId, self, log, onChange }: NodeDirectoryParts) {
		this.#redis = redis;
		this.#subscriber = subscriber;
		this.#log = log;
		this.#self = self;
		this.#channel = answersOf(gatewayId);
		this.#onChange = onChange;
	}

	/** Listens, reads the list once, and keeps it fresh until `close`. @throws Error when another machine has something else that all have to share */
	async open(): Promise<void> {
		await requireShared(this.#redis, this.#self?.shares);
		if (this.#self !== undefined) await joinAsGateway(this.#redis, this.#self);
		const onMessage = (text: string, channel: string) => {
			if (channel === this.#channel) this.#take(JSON.parse(text) as Answered);
			else this.#heard(JSON.parse(text) as NodeNews);
		};
		const events = { onMessage, onResumed: () => this.#refreshNow() };
		const subscription = new Subscription(this.#subscriber, [this.#channel, NODE_NEWS], events, this.#log);
		this.#timer = setInterval(() => void this.#refreshNow(), REFRESH_MS);
		await subscription.listening;
		await this.#refreshNow();
	}

	nodes(): readonly NodeInfo[] {
		return this.#nodes;
	}

	unlisted(): string | undefined {
		const nowMs = performance.now();
		if (this.#unread !== undefined && nowMs - this.#freshAtMs > BELIEVED_MS) return this.#unread;
		return nowMs < this.#relistedByMs ? RELISTING : undefined;
	}

	gone(): readonly GoneNode[] {
		return this.#gone.list();
	}

	async gateways(): Promise<readonly GatewayInfo[]> {
		return await guarded(this.#redis, "listing the gateways", () => readGateways(this.#redis));
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
			const heard = await guarded(this.#redis, "asking a node", () => this.#redis.publish(questionsOf(node), JSON.stringify(asked)));
			if (heard === 0) throw new BerthError("unavailable", this.unlisted() ?? unheard(node));
			return await answer;
		} finally {
			clearTimeout(timer);
			this.#asked.delete(id);
		}
	}

	async close(): Promise<void> {
		clearInterval(this.#timer);
		await this.#refreshing;
		if (this.#self !== undefined && this.#redis.status === "ready")
			await endGateway(this.#redis, this.#self).catch((error: unknown) => this.#log.warn({ error }, "the gateway's lease ends by itself"));
		await Promise.all([closeRedis(this.#redis), closeRedis(this.#subscriber)]);
	}

	#take({ id, answer }: Answered): void {
		this.#asked.get(id)?.(answer);
	}

	#heard(news: NodeNews): void {
		if (news.kind === "left") this.#gone.leaves(news.incarnation);
		// What a node says of itself is in the list before anybody looks after it.
		const seen = this.#refreshNow();
		if (news.kind === "returned") void seen.then(() => this.#onChange?.(news.id, { reason: "returned", incarnation: news.incarnation }));
	}

	/** News that come during a refresh may not be in it: another one follows. */
	async #refreshNow(): Promise<void> {
		this.#stale = true;
		this.#refreshing ??= this.#refreshWhileStale();
		await this.#refreshing;
	}

	async #refreshWhileStale(): Promise<void> {
		while (this.#stale) {
			this.#stale = false;
			await this.#refresh();
		}
		this.#refreshing = undefined;
	}

	async #refresh(): Promise<void> {
		try {
			const [nodes, isKept] = await guarded(this.#redis, "listing the nodes", () =>
				Promise.all([readNodes(this.#redis), this.#self === undefined || renewGateway(this.#redis, this.#self)]),
			);
			const nowMs = performance.now();
			// Its own lease is gone before its time, or while the server was away: others' are, too.
			if (!isKept && (this.#unread !== undefined || nowMs - this.#freshAtMs < NODE_LEASE_MS)) {
				this.#relistedByMs = nowMs + RELISTED_MS;
				this.#log.warn({}, "the fast Redis has lost the leases of nodes and gateways; they list themselves again");
			}
			this.#replace(nodes);
			this.#freshAtMs = nowMs;
			this.#unread = undefined;
		} catch (error) {
			this.#log.debug({ error }, "the list of nodes can't be read");
			this.#unread = (error as Error).message;
			// Without Redis nothing can be placed anyway: keep the list for as long as the leases would hold.
			if (performance.now() - this.#freshAtMs > BELIEVED_MS) this.#replace([]);
		}
	}

	#replace(nodes: NodeInfo[]): void {
		const before = this.#nodes;
		this.#nodes = Object.freeze(nodes.sort((a, b) => a.id.localeCompare(b.id)));
		for (const { id } of nodes) this.#gone.isThere(id);
		for (const old of before) {
			const now = nodes.find(({ id }) => id === old.id);
			if (now === undefined) this.#gone.went(old);
			const reason = changeOf(old, now);
			if (reason !== undefined)
				this.#onChange?.(old.id, { reason, incarnation: old.incarnation, ...(old.host === undefined ? {} : { host: old.host }) });
		}
	}
}

function changeOf(old: NodeInfo, now: NodeInfo | undefined): NodeChange["reason"] | undefined {
	if (now === undefined) return "abandoned";
	// What waits for one that was drained its next incarnation doesn't take either.
	if (now.incarnation !== old.incarnation) return isDrained(now) ? "abandoned" : "restarted";
	return isDrained(now) && !isDrained(old) ? "draining" : undefined;
}

/** It takes nothing new, and nobody takes its place. */
function isDrained({ draining, returns }: NodeInfo): boolean {
	return draining === true && returns !== true;
}

function unheard(node: string): string {
	return `node ${node} doesn't listen on the fast Redis now: it is gone, or connects there again after that server was away; try again`;
}

function silent(node: string, timeoutMs: number): BerthError {
	return new BerthError("unavailable", `Node ${node} didn't answer within ${timeoutMs} ms.`);
}
