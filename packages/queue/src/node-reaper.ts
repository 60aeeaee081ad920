import { SECOND_MS } from "@berth/contracts";
import { LuaScript, type Redis, sharedNow } from "@berth/redis";
import type { InteractiveEnvelope } from "./bullmq/envelope.js";
import { VERDICT_TEXT } from "./bullmq/verdicts.js";
import { InteractiveRecords } from "./interactive-records.js";
import { interactiveQueueOf, NODE_QUEUES, nodeLeaseOf, QUEUE_PREFIX, REAPER, unbegunOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";
import { NODE_RETURN_MS } from "./node-channels.js";
import { elapsedMs, platformSettlement } from "./settlements.js";
import { Unbegun } from "./unbegun.js";

/** How often it is looked, and how long whoever did it last has the right to: another one has it when that one dies. Milliseconds. */
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

/** KEYS: a node's lease, what waits in its queue, what was taken. ARGV: prefix of jobs, most. Gives pairs of id and data; nothing for a node that is back. */
const LEFT = new LuaScript(`
	local found = {}
	if redis.call("EXISTS", KEYS[1]) == 1 then return found end
	for at = 2, 3 do
		for _, id in ipairs(redis.call("LRANGE", KEYS[at], 0, tonumber(ARGV[2]) - 1)) do
			local job = redis.call("HMGET", ARGV[1] .. id, "data", "ats")
			found[#found + 1] = { id, job[1] or "", job[2] or "0" }
		end
	end
	return found
`);

/** KEYS: a node's lease, what waits in its queue, what was taken. ARGV: prefix of jobs, ids. */
const DROP = new LuaScript(`
	if redis.call("EXISTS", KEYS[1]) == 1 then return end
	for at = 2, #ARGV do
		redis.call("LREM", KEYS[2], 0, ARGV[at])
		redis.call("LREM", KEYS[3], 0, ARGV[at])
		redis.call("UNLINK", ARGV[1] .. ARGV[at], ARGV[1] .. ARGV[at] .. ":lock")
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
	#looking: Promise<void> | undefined;

	constructor(parts: NodeReaperParts) {
		this.#parts = parts;
		this.#timing = parts.timing ?? TIMING;
		this.#records = new InteractiveRecords(parts.redis);
		this.#unbegun = new Unbegun(parts.redis);
		this.#timer = setInterval(() => void this.look(), this.#timing.everyMs);
	}

	/** Stops looking, and leaves it to others. */
	async stop(): Promise<void> {
		clearInterval(this.#timer);
		await this.#looking;
	}

	/** One look; never rejects. */
	look(): Promise<void> {
		this.#looking ??= this.#round()
			.catch((error: unknown) => this.#parts.log.warn({ error }, "what nodes left that are gone is looked after later"))
			.finally(() => {
				this.#looking = undefined;
			});
		return this.#looking;
	}

	async #round(): Promise<void> {
		const { redis, gatewayId } = this.#parts;
		if (redis.status !== "ready" || (await HOLD.run(redis, [REAPER], [gatewayId, this.#timing.leaseMs])) !== 1) return;
		for (const node of await redis.zrangebyscore(NODE_QUEUES, 0, sharedNow() - this.#timing.goneMs)) await this.#reap(node);
	}

	async #reap(node: string): Promise<void> {
		const { redis, log } = this.#parts;
		const base = `${QUEUE_PREFIX}:${interactiveQueueOf(node)}:`;
		const keys = [nodeLeaseOf(node), `${base}wait`, `${base}active`];
		for (;;) {
			const left = (await LEFT.run(redis, keys, [base, MOST])) as [string, string, string][];
			if (left.length === 0) break;
			for (const [id, data, attempts] of left)
				if (data !== "") await this.#end(node, id, JSON.parse(data) as InteractiveEnvelope, attempts !== "0");
			await DROP.run(redis, keys, [base, ...left.map(([id]) => id)]);
		}
		const others = OTHERS.map((name) => base + name);
		const isGone = await FORGET.run(redis, [nodeLeaseOf(node), NODE_QUEUES, `${base}wait`, `${base}active`, ...others], [node]);
		if (isGone === 1) log.info({ node }, "a node that doesn't come back: nothing of its queue is left");
	}

	/** What somebody has placed again is theirs to settle. */
	async #end(node: string, job: string, { requests, replyTo }: InteractiveEnvelope, wasTaken: boolean): Promise<void> {
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
		if (settled.length > 0) await this.#records.settle(settled);
		await this.#parts.redis.unlink(unbegunOf(job));
	}
}
