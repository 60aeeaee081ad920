import { BerthError, type InvocationRequest, KIB, MIB } from "@berth/contracts";
import { LuaScript, type Redis } from "@berth/redis";
import type { DurableMemory } from "./durable-memory.js";
import { functionKeyOf, functionQueueOf, LANE, outboxOf, QUEUE_PREFIX } from "./keys.js";
import { Level } from "./level.js";
import { RESERVE_BYTES } from "./memory-script.js";

/** How many may be queued in the background: of a function, and of all functions of a project, with what is still to follow settlements of that project. */
export interface QueuedLimits {
	readonly perFunction: number;
	/** Undefined: a project has no limit of its own. */
	readonly perProject: (project: string) => number | undefined;
}
export const DEFAULT_QUEUED_LIMITS: QueuedLimits = { perFunction: 200_000, perProject: () => 1_000_000 };

/** Why one couldn't be queued: as much as may be is of its function, of its project, or the durable Redis has no more room for what is new. */
export type QueueRefusal = Whose | "memory";
type Whose = "function" | "project";
type Owner = Pick<InvocationRequest, "project" | "function" | "parent">;

/** What is queued takes about so much of the durable Redis, beside what it says: that stands in the job and, in part, in the record. */
const JOB_BYTES = 2 * KIB + RESERVE_BYTES;
const COPIES = 2;
/** Figures that are kept; of functions beyond them the oldest are read anew. */
const MOST_KEPT = 2000;

/** Jobs of the function; or of every function of its project that has any, with what KEYS has of the project in the outbox. */
const COUNT = new LuaScript(`
	local function count(name)
		local prefix = ARGV[1] .. name .. ":"
		return redis.call("LLEN", prefix .. "wait") + redis.call("ZCARD", prefix .. "delayed") + redis.call("LLEN", prefix .. "active")
	end
	if ARGV[2] == "function" then return count(ARGV[3]) end
	local sum = 0
	for _, name in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do
		if string.sub(name, 1, #ARGV[3]) == ARGV[3] then sum = sum + count(ARGV[4] .. name) end
	end
	for at = 2, #KEYS do sum = sum + redis.call("ZCARD", KEYS[at]) end
	return sum
`);

/**
 * Bounds what waits in the background, in number, and in memory together with all else in the durable Redis. It costs a question a second for
 * each function that something is queued of, one for each project, and one for the memory.
 */
export class QueuedRoom {
	readonly #redis: Redis;
	readonly #limits: QueuedLimits;
	readonly #memory: DurableMemory;
	readonly #onRefused: (reason: QueueRefusal) => void;
	readonly #levels = new Map<string, Level>();

	constructor(
		redis: Redis,
		memory: DurableMemory,
		limits: QueuedLimits = DEFAULT_QUEUED_LIMITS,
		onRefused: (reason: QueueRefusal) => void = () => undefined,
	) {
		this.#redis = redis;
		this.#limits = limits;
		this.#memory = memory;
		this.#onRefused = onRefused;
	}

	/** @throws BerthError queue_full, storage_full: as `take`, but nothing is taken */
	async require(owner: Owner): Promise<void> {
		await this.requireMemory();
		for (const whose of ["function", "project"] as const) await this.#levelOf(owner, whose, 0);
	}

	/** One more is about to be queued. @throws BerthError queue_full, storage_full */
	async take(request: InvocationRequest): Promise<void> {
		await this.require(request);
		for (const whose of ["function", "project"] as const) await this.#levelOf(request, whose, 1);
		this.#memory.add(JOB_BYTES + COPIES * JSON.stringify(request).length);
	}

	/** @throws BerthError storage_full when the durable Redis has no room for what is new */
	async requireMemory(): Promise<void> {
		const refusal = await this.memoryRefusal();
		if (refusal === undefined) return;
		this.#onRefused("memory");
		throw refusal;
	}

	/** Why nothing new may be written; else so many bytes are about to be. */
	async memoryRefusal(bytes = 0): Promise<BerthError | undefined> {
		const full = await this.#memory.full();
		if (full === undefined) {
			this.#memory.add(bytes);
			return undefined;
		}
		const { takenBytes, mostBytes, retryAfterMs } = full;
		const [taken, most] = [takenBytes, mostBytes].map((bytes) => Math.round(bytes / MIB));
		const detail = `${taken} MiB of the durable Redis are taken, or kept for doing what was accepted, of ${most} at most; nothing was accepted`;
		return new BerthError("storage_full", detail, { extra: { retryAfterMs } });
	}

	/** Those of a project that count, as of a second ago at most. */
	queuedOf(project: string): Promise<number> {
		return this.#kept(`${project}/`, "project", project).read();
	}

	#kept(key: string, whose: Whose, project: string): Level {
		const level = this.#levels.get(key) ?? new Level(() => this.#count(whose, key, project));
		this.#levels.delete(key);
		this.#levels.set(key, level);
		if (this.#levels.size > MOST_KEPT) this.#levels.delete(this.#levels.keys().next().value as string);
		return level;
	}

	async #levelOf(owner: Owner, whose: Whose, more: number): Promise<void> {
		const key = whose === "function" ? functionKeyOf(owner) : `${owner.project}/`;
		const level = this.#kept(key, whose, owner.project);
		const most = whose === "function" ? this.#limits.perFunction : this.#limits.perProject(owner.project);
		if (most === undefined) return;
		const count = await level.read();
		if (count < most) {
			level.add(more);
			return;
		}
		if (whose === "project" && (await this.#isCounted(owner))) return;
		this.#onRefused(whose);
		const has =
			whose === "function"
				? `${owner.function} has ${count} background invocations queued`
				: `project ${owner.project} has ${count} background invocations queued, and callbacks and functions that are to follow others`;
		const retryAfterMs = level.retryAfterMs(most);
		throw new BerthError("queue_full", `${has}, of ${most} at most; nothing was accepted`, { extra: { retryAfterMs } });
	}

	/** What follows a settlement is counted already, and leaves the outbox by being queued: refused for that, all of it would wait for ever. */
	async #isCounted({ project, parent }: Owner): Promise<boolean> {
		return parent !== undefined && (await this.#redis.zscore(outboxOf("follower", project), parent.id)) !== null;
	}

	async #count(whose: Whose, key: string, project: string): Promise<number> {
		const name = whose === "function" ? functionQueueOf(key) : key;
		const following = whose === "function" ? [] : [outboxOf("callback", project), outboxOf("follower", project)];
		return Number(await COUNT.run(this.#redis, [LANE.index, ...following], [`${QUEUE_PREFIX}:`, whose, name, functionQueueOf("")]));
	}
}
