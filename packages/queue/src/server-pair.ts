import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { idOf, isRefusal, LuaScript, type Redis } from "@berth/redis";
import { FAST_ID, FAST_IN_USE } from "./keys.js";
import type { QueueLogger } from "./logger.js";

const LEASE_MS = 10_000;
const RENEWAL_MS = 3000;
/** With more than this left it isn't renewed, milliseconds: one write is every process's, and the durable server waits for its disk with each. */
const FRESH_MS = LEASE_MS - 2000;
const LOOK_MS = 250;
/** How long a renewal waits for the fast server to say its id: a silent one says it when it goes on. */
const ANSWER_MS = 1000;
/** How often another one's lease is renewed before a start is refused: who had lost the fast server just before it came back empty may renew by the id that it had. */
const RENEWALS = 2;

/** KEYS: the lease. ARGV: the fast server's id, the one that it had before, whose word that is, two times in ms. Gives what it said, and how long it lasted. */
const HOLD = new LuaScript(`#!lua flags=allow-oom
	local held, left = redis.call("GET", KEYS[1]), redis.call("PTTL", KEYS[1])
	-- No lease is longer: this server's clock was set back.
	if left > tonumber(ARGV[4]) then
		redis.call("PEXPIRE", KEYS[1], ARGV[4])
		left = tonumber(ARGV[4])
	end
	local id = held and string.match(held, "^%S+")
	if (not id or id == ARGV[1] or id == ARGV[2]) and (id ~= ARGV[1] or left < tonumber(ARGV[5])) then
		redis.call("SET", KEYS[1], ARGV[1] .. " " .. ARGV[3], "PX", ARGV[4])
	end
	return { held, left }
`);

/** A lease that says another fast server. */
interface Other {
	readonly id: string;
	/** Of the machine that said so last. */
	readonly host: string;
	readonly leftMs: number;
}

export interface ServerPairParts {
	readonly durable: Redis;
	readonly fast: Redis;
	readonly log: QueueLogger;
}

/**
 * Which fast server the stack of a durable one works with: two with one durable server would take each other's work, and know nothing of each other's leases.
 * The durable one holds a lease on that, which says the fast one's id and is every process's to renew. It owns neither connection.
 */
export class ServerPair {
	readonly #parts: ServerPairParts;
	/** The fast server's, as it said last: one that was emptied has another. */
	#id: string;
	/** The one by which the lease was ours last. */
	#held: string;
	#looking: Promise<boolean> | undefined;
	#clashes = false;
	readonly #timer: NodeJS.Timeout;

	private constructor(parts: ServerPairParts, id: string) {
		this.#parts = parts;
		this.#id = id;
		this.#held = id;
		this.#timer = setInterval(() => void this.#renew(), RENEWAL_MS);
	}

	/** Holds the lease from when this resolves, until `stop`. @throws Error as `claimPair` */
	static async hold(parts: ServerPairParts): Promise<ServerPair> {
		return new ServerPair(parts, await claimPair(parts));
	}

	/** The lease ends by itself, unless others renew it. */
	stop(): void {
		clearInterval(this.#timer);
	}

	/** A fast server that is away is the stack's still. */
	async #renew(): Promise<void> {
		const { durable, log } = this.#parts;
		this.#looking ??= this.#look().finally(() => {
			this.#looking = undefined;
		});
		const isKnown = await Promise.race([this.#looking, pause(ANSWER_MS, false, { ref: false })]);
		if (durable.status !== "ready") return;
		const id = this.#id;
		try {
			const other = await otherOf(durable, id, this.#held);
			if (other === undefined) this.#held = id;
			// Without the fast server's word it may be the same one under another id.
			else if (!isKnown) return;
			else if (!this.#clashes) log.error({ fast: id, other }, `this machine isn't of its stack any more: ${clashText(id, other)}`);
			this.#clashes = other !== undefined;
		} catch (error) {
			log.warn({ error }, "the lease on which fast Redis is this stack's couldn't be renewed");
		}
	}

	/** Whether the fast server has said its id. */
	async #look(): Promise<boolean> {
		const { fast, log } = this.#parts;
		try {
			if (fast.status !== "ready") return false;
			this.#id = await idOf(fast, FAST_ID);
			return true;
		} catch (error) {
			log.warn({ error }, "the fast Redis couldn't be asked which one it is");
			return false;
		}
	}
}

/**
 * Takes the lease for a moment. Waits only where another fast server has it, until it ends or is renewed twice: what held it may have been killed, or stopped to be moved.
 * @returns the fast server's id. @throws Error when it is renewed so: a stack lives by it
 */
export async function claimPair({ durable, fast, log }: ServerPairParts): Promise<string> {
	const id = await idOf(fast, FAST_ID);
	let renewals = 0;
	for (let leftMs: number | undefined; ; await pause(LOOK_MS)) {
		const other = await otherOf(durable, id);
		if (other === undefined) return id;
		if (leftMs === undefined)
			log.info({ fast: id, other }, "another fast Redis has the lease of this stack: waiting until it ends, or is renewed");
		else if (other.leftMs > leftMs && ++renewals === RENEWALS)
			throw new Error(`this machine can't be of this stack: ${clashText(id, other)}`);
		leftMs = other.leftMs;
	}
}

/** Takes or renews the lease, unless it says another fast server. @param before whose lease is passed on */
async function otherOf(durable: Redis, id: string, before = ""): Promise<Other | undefined> {
	const args = [id, before, hostname(), LEASE_MS, FRESH_MS];
	const [held, leftMs] = (await HOLD.run(durable, [FAST_IN_USE], args).catch((error: unknown) => found(durable, error))) as Lease;
	const [other = "", host = ""] = held?.split(" ") ?? [];
	return held === null || other === id || other === before ? undefined : { id: other, host, leftMs };
}

type Lease = readonly [held: string | null, leftMs: number];

/** A server that takes no writes gives the lease to nobody, and what it says can be read. */
async function found(durable: Redis, error: unknown): Promise<Lease> {
	if (!isRefusal(error)) throw error;
	return await Promise.all([durable.get(FAST_IN_USE), durable.pttl(FAST_IN_USE)]);
}

function clashText(id: string, { id: other, host }: Other): string {
	return `the durable Redis is in use with the fast Redis ${other} (by ${host}, last), and this machine's is another one, ${id}: BERTH_FAST_REDIS_URL has to name the same server on every machine. To have the stack use another one, stop all of its machines first`;
}
