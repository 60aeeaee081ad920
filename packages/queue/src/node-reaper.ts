import { SECOND_MS } from "@berth/contracts";
import { LuaScript, type Redis, startOf } from "@berth/redis";
import { type InteractiveEnvelope, isOfBefore } from "./bullmq/envelope.js";
import { VERDICT_TEXT } from "./bullmq/verdicts.js";
import { InteractiveRecords } from "./interactive-records.js";
import { interactiveQueueOf, NODE_QUEUES, nodeLeaseOf, QUEUE_PREFIX, REAPER } from "./keys.js";
import type { QueueLogger } from "./logger.js";
import { NODE_RETURN_MS } from "./node-channels.js";
import { elapsedMs, platformSettlement } from "./settlements.js";
import { Unbegun } from "./unbegun.js";

/**
 * How often it is looked; how long whoever did it last has the right to: another one has it when that one dies; and how long a node hasn't been
 * there then, of which a Redis that was away says nothing. Milliseconds.
 */
const TIMING = { everyMs: 5 * SECOND_MS, leaseMs: 15 * SECOND_MS, goneMs: 2 * NODE_RETURN_MS };
/** Jobs in one go. */
const MOST = 100;
/** Whose what hadn't begun is then: nobody's. */
const TAKER = "reaper";

/** KEYS: the lease. ARGV: holder, ms. Gives 1 to who holds it now. */
const HOLD = new LuaScript(`
	local holder = redis.call("GET", KEYS[1])
	if holder and holder ~= ARGV[1] then return 0 end
	redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
	return 1
`);

/**
 * Takes jobs, as a worker does: a node that is back meanwhile begins none of them. KEYS: a node's lease, what waits in its queue, what was taken.
 * ARGV: prefix of jobs, most, holder of their locks, ms. Gives id, data and whether it was taken before; nothing for a node that is back, nor what somebody has.
 */
const TAKE = new LuaScript(`
	local found = {}
	if redis.call("EXISTS", KEYS[1]) == 1 then return found end
	for at = 2, 3 do
		for _, id in ipairs(redis.call("LRANGE", KEYS[at], 0, tonumber(ARGV[2]) - 1)) do
			local lock = ARGV[1] .. id .. ":lock"
			local holder = redis.call("GET", lock)
			if not holder or holder == ARGV[3] then
				redis.call("SET", lock, ARGV[3], "PX", ARGV[4])
				if at == 2 then
					redis.call("LREM", KEYS[2], 0, id)
					redis.call("LPUSH", KEYS[3], id)
				end
				local job = redis.call("HMGET", ARGV[1] .. id, "data", "ats")
				found[#found + 1] = { id, job[1] or "", job[2] or "0" }
			end
		end
		if #found > 0 then return found end
	end
	return found
`);

/** Also where the node is back: they are settled. KEYS: what was taken. ARGV: prefix of jobs, holder of their locks, ids. */
const DROP = new LuaScript(`
	for at = 3, #ARGV do
		local job = ARGV[1] .. ARGV[at]
		if redis.call("GET", job .. ":lock") == ARGV[2] then
			redis.call("LREM", KEYS[1], 0, ARGV[at])
			redis.call("UNLINK", job, job .. ":lock")
		end
	end
`);

/** KEYS: a node's lease, those that were seen, what waits, what was taken, the queue's other keys. ARGV: node. Gives 1 when nothing is left of it. */
const FORGET = new LuaScript(`
	if redis.call("EXISTS", KEYS[1]) == 1 or redis.call("LLEN", KEYS[3]) + redis.call("LLEN", KEYS[4]) > 0 then return 0 end
	for at = 3, #KEYS do redis.call("UNLINK", KEYS[at]) end
	redis.call("ZREM", KEYS[2], ARGV[1])
	return 1
`);

/** What BullMQ keeps of a queue beside its jobs. */
const OTHERS = [
	"paused",
	"meta",
	"marker",
	"events",
	"id",
	"stalled",
	"stalled-check",
	"delayed",
	"prioritized",
	"completed",
	"failed",
	"pc",
];

export interface NodeReaperParts {
	/** A connection to the fast Redis for `command` use. */
	readonly redis: Redis;
	readonly gatewayId: string;
	readonly log: QueueLogger;
	readonly timing?: typeof TIMING;
}

/**
 * Looks after queues of nodes that don't come back, at one gateway at a time. What a gateway that lives waits for there it has placed again long
 * before; what is left has nobody who waits for it, and is settled, so that its record says so. Then the queue's keys go.
 */
export class NodeReaper {
	readonly #parts: NodeReaperParts;
	readonly #timing: typeof TIMING;
	readonly #records: InteractiveRecords;
	readonly #unbegun: Unbegun;
	readonly #timer: NodeJS.Timeout;
	/** Nodes without a lease, by when that was first seen of all the looks since, by the monotonic clock. */
	readonly #missing = new Map<string, number>();
	#looking: Promise<void> | undefined;

	constructor(parts: NodeReaperParts) {
		this.#parts = parts;
		this.#timing = parts.timing ?? TIMING;
		this.#records = new InteractiveRecords(parts.redis);
		this.#unbegun = new Unbegun(parts.redis);
		parts.redis.on("close", this.#beginAnew);
		this.#timer = setInterval(() => void this.look(), this.#timing.everyMs);
	}

	readonly #beginAnew = () => this.#missing.clear();

	/** Stops looking, and leaves it to others. */
	async stop(): Promise<void> {
		clearInterval(this.#timer);
		this.#parts.redis.off("close", this.#beginAnew);
		await this.#looking;
	}

	/** One look; never rejects. */
	look(): Promise<void> {
		this.#looking ??= this.#round()
			.catch((error: unknown) => {
				this.#beginAnew();
				this.#parts.log.warn({ error }, "what nodes left that are gone is looked after later");
			})
			.finally(() => {
				this.#looking = undefined;
			});
		return this.#looking;
	}

	async #round(): Promise<void> {
		const { redis, gatewayId } = this.#parts;
		if (redis.status !== "ready" || (await HOLD.run(redis, [REAPER], [gatewayId, this.#timing.leaseMs])) !== 1) this.#beginAnew();
		else for (const node of await this.#gone()) await this.#reap(node);
	}

	/** Nodes that have been without a lease for so long, at each look since. */
	async #gone(): Promise<string[]> {
		const { redis } = this.#parts;
		const nodes = await redis.zrange(NODE_QUEUES, "0", "-1");
		const leases = nodes.length === 0 ? [] : await redis.mget(nodes.map(nodeLeaseOf));
		const nowMs = performance.now();
		const before = new Map(this.#missing);
		this.#missing.clear();
		for (const [at, node] of nodes.entries()) if (leases[at] === null) this.#missing.set(node, before.get(node) ?? nowMs);
		return [...before].filter(([node, sinceMs]) => this.#missing.has(node) && nowMs - sinceMs >= this.#timing.goneMs).map(([node]) => node);
	}

	async #reap(node: string): Promise<void> {
		const { redis, log } = this.#parts;
		const base = `${QUEUE_PREFIX}:${interactiveQueueOf(node)}:`;
		const keys = [nodeLeaseOf(node), `${base}wait`, `${base}active`];
		for (;;) {
			const left = (await TAKE.run(redis, keys, [base, MOST, TAKER, this.#timing.leaseMs])) as [string, string, string][];
			if (left.length === 0) break;
			for (const [id, data, attempts] of left)
				if (data !== "") await this.#end(node, id, JSON.parse(data) as InteractiveEnvelope, attempts !== "0");
			await DROP.run(redis, [`${base}active`], [base, TAKER, ...left.map(([id]) => id)]);
		}
		const others = OTHERS.map((name) => base + name);
		const isGone = await FORGET.run(redis, [nodeLeaseOf(node), NODE_QUEUES, `${base}wait`, `${base}active`, ...others], [node]);
		if (isGone === 1) log.info({ node }, "a node that doesn't come back: nothing of its queue is left");
	}

	/** What somebody has placed again is theirs to settle. */
	async #end(node: string, job: string, { requests, replyTo, sentTo }: InteractiveEnvelope, wasTaken: boolean): Promise<void> {
		// What the server lost, when it was started again, may be how it ended.
		if (isOfBefore({ sentTo }, startOf(this.#parts.redis))) return;
		const owners = wasTaken
			? await this.#unbegun.take(
					job,
					requests.map(({ id }) => id),
					TAKER,
					"other",
				)
			: requests.map(() => TAKER);
		const settled = requests.flatMap((request, at) => {
			const owner = owners[at];
			if (owner?.startsWith("gw_") === true) return [];
			const code = owner === TAKER ? "expired_in_queue" : "worker_lost";
			const queueMs = elapsedMs(request.acceptedAtMs);
			return [{ request, settlement: platformSettlement({ node, attempt: 1, code, message: VERDICT_TEXT[code], queueMs }), replyTo }];
		});
		// Marks go by themselves: to who still holds one of these a missing one would mean that it may begin.
		if (settled.length > 0) await this.#records.settle(settled);
	}
}
