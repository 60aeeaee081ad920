import { BerthError, type NodeLoad } from "@berth/contracts";
import { closeRedis, LuaScript, type Redis, Subscription, sharedNow } from "@berth/redis";
import { readGateways, requireShared } from "./gateway-leases.js";
import { drainedOf, GATEWAY_NEWS, NODE_IDS, NODE_NEWS, NODE_QUEUES, nodeLeaseOf, questionsOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";
import {
	type Answered,
	type Asked,
	DRAINED_KEPT_MS,
	NODE_LEASE_MS,
	NODE_RENEWAL_MS,
	NODE_RETURN_MS,
	type NodeNews,
	QUEUE_PROTOCOL,
} from "./node-channels.js";
import { ClaimWatch, type NodeClaim, requireUnclaimed } from "./node-claim.js";
import { readNodes } from "./node-leases.js";
import type { GatewayInfo, NodeAnswer, NodeInfo, NodeMembership, NodeQuestion } from "./node-ports.js";

/** Ends a lease only if it is still this incarnation's: a restarted worker of that id may have joined. */
const END_LEASE = new LuaScript(`
	local lease = redis.call("GET", KEYS[1])
	if not lease or cjson.decode(lease).incarnation ~= ARGV[1] then return 0 end
	redis.call("DEL", KEYS[1])
	redis.call("SREM", KEYS[2], ARGV[2])
	return 1
`);

type Answerer = (question: NodeQuestion) => Promise<NodeAnswer>;

/** A worker's lease on being listed, and its ear for questions. It owns both connections. */
export class RedisNodeMembership implements NodeMembership {
	readonly #redis: Redis;
	readonly #subscriber: Redis;
	readonly #log: QueueLogger;
	readonly #claim: NodeClaim | undefined;
	readonly #watch: ClaimWatch | undefined;
	#node: NodeInfo | undefined;
	#load: (() => NodeLoad) | undefined;
	#timer: NodeJS.Timeout | undefined;
	#renewing = false;
	#isStopping = false;
	#gateways: readonly GatewayInfo[] = [];
	#closed: Promise<void> | undefined;

	/** @param redis for `patient` use. @param subscriber for `subscriber` use. @param claim absent: whoever joins last has the id */
	constructor(redis: Redis, subscriber: Redis, log: QueueLogger, claim?: NodeClaim) {
		this.#redis = redis;
		this.#subscriber = subscriber;
		this.#log = log;
		this.#claim = claim;
		this.#watch = claim && new ClaimWatch(claim);
	}

	nodes(): Promise<readonly NodeInfo[]> {
		return readNodes(this.#redis);
	}

	async join(node: NodeInfo, answer: Answerer, load?: () => NodeLoad): Promise<void> {
		await requireShared(this.#redis, node.shares);
		if (this.#claim !== undefined) await requireUnclaimed(this.#redis, node, this.#claim);
		this.#load = load;
		const wasDrained = (await this.#redis.exists(drainedOf(node.id))) === 1;
		this.#node = { protocol: QUEUE_PROTOCOL, ...node, ...(wasDrained ? { draining: true } : {}) };
		const onMessage = (text: string, channel: string) => {
			if (channel === GATEWAY_NEWS) void this.#renewOnce();
			else void this.#answer(JSON.parse(text) as Asked, answer);
		};
		await new Subscription(this.#subscriber, [questionsOf(node.id), GATEWAY_NEWS], { onMessage }, this.#log).listening;
		await this.#renew(this.#node);
		await this.#redis.publish(NODE_NEWS, JSON.stringify({ kind: "joined", node: this.#node } satisfies NodeNews));
		this.#timer = setInterval(() => void this.#renewOnce(), NODE_RENEWAL_MS);
	}

	/** Should Redis be away now, the next renewal says it. Where an operator drained it the next one takes nothing either: nothing is left to that. */
	async drain(returns = false): Promise<void> {
		if (this.#node === undefined || this.#closed !== undefined) return;
		this.#isStopping = true;
		this.#node = { ...this.#node, draining: true, ...(returns && !this.isDraining ? { returns } : {}) };
		await this.#renewOnce();
		if (this.#redis.status === "ready") await this.#tell({ kind: "draining", id: this.#node.id });
	}

	get isDraining(): boolean {
		return this.#node?.draining === true;
	}

	/** See NodeMembership.setDrained. */
	async setDrained(isDrained: boolean): Promise<void> {
		if (this.#node === undefined || this.#closed !== undefined) return;
		const { draining: _, returns: __, ...open } = this.#node;
		if (!isDrained && this.#isStopping) throw new BerthError("unavailable", `Node ${open.id} stops: say it once it is back.`);
		const node: NodeInfo = isDrained ? { ...open, draining: true } : open;
		if (isDrained) await this.#redis.set(drainedOf(node.id), "", "PX", DRAINED_KEPT_MS);
		else await this.#redis.del(drainedOf(node.id));
		this.#node = node;
		await this.#renew(node);
		await this.#tell(isDrained ? { kind: "draining", id: node.id } : { kind: "joined", node });
	}

	/** Ends the lease, tells the gateways, and closes the connections. */
	leave(): Promise<void> {
		this.#closed ??= this.#leave();
		return this.#closed;
	}

	async #leave(): Promise<void> {
		clearInterval(this.#timer);
		const node = this.#node;
		try {
			if (node !== undefined && this.#redis.status === "ready" && node.returns === true) await this.#renew(node, NODE_RETURN_MS);
			else if (node !== undefined && this.#redis.status === "ready") {
				await END_LEASE.run(this.#redis, [nodeLeaseOf(node.id), NODE_IDS], [node.incarnation, node.id]);
				const news: NodeNews = { kind: "left", id: node.id, incarnation: node.incarnation };
				await this.#redis.publish(NODE_NEWS, JSON.stringify(news));
			}
		} catch (error) {
			this.#log.warn({ error }, "the node's lease couldn't be given back; it ends by itself");
		} finally {
			await Promise.all([closeRedis(this.#redis), closeRedis(this.#subscriber)]);
		}
	}

	async #tell(news: NodeNews): Promise<void> {
		try {
			await this.#redis.publish(NODE_NEWS, JSON.stringify(news));
		} catch (error) {
			this.#log.warn({ error }, "news of this node couldn't be told; it is seen at the next look");
		}
	}

	async #renewOnce(): Promise<void> {
		const node = this.#node;
		if (node === undefined || this.#renewing || this.#redis.status !== "ready") return;
		this.#renewing = true;
		try {
			await this.#renew(node);
		} catch (error) {
			this.#log.warn({ error }, "the node's lease couldn't be renewed");
		} finally {
			this.#renewing = false;
		}
	}

	gateways(): readonly string[] {
		const addresses = this.#gateways.flatMap(({ address }) => address ?? []);
		const first = Math.floor(Math.random() * addresses.length);
		return [...addresses.slice(first), ...addresses.slice(0, first)];
	}

	async #renew(node: NodeInfo, leaseMs = NODE_LEASE_MS): Promise<void> {
		const said = { ...node, replaced: this.#watch?.replaced, ...(this.#load === undefined ? {} : { load: this.#load() }) };
		const renewal = this.#redis
			.multi()
			.set(nodeLeaseOf(node.id), JSON.stringify(said), "PX", leaseMs, "GET")
			.sadd(NODE_IDS, node.id)
			.zadd(NODE_QUEUES, sharedNow(), node.id)
			.pexpire(drainedOf(node.id), DRAINED_KEPT_MS)
			.exec();
		const [gateways, replies] = await Promise.all([readGateways(this.#redis), renewal]);
		this.#gateways = gateways;
		this.#watch?.renewed(node, replies?.[0]?.[1] as string | null);
	}

	async #answer({ id, answerTo, question }: Asked, answerer: Answerer): Promise<void> {
		try {
			const answer = await answerer(question).catch(refusal);
			await this.#redis.publish(answerTo, JSON.stringify({ id, answer } satisfies Answered));
		} catch (error) {
			this.#log.warn({ error, question: question.kind }, "an answer couldn't be sent");
		}
	}
}

function refusal(error: unknown): NodeAnswer {
	const detail = error instanceof Error ? error.message : String(error);
	return { kind: "refused", code: error instanceof BerthError ? error.code : "platform_error", detail };
}
