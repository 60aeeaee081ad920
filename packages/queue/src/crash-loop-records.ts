import { type CrashLoop, MINUTE_MS } from "@berth/contracts";
import { closeRedis, type Redis, sharedNow } from "@berth/redis";
import { crashLoopOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";

/** As long as a node remembers one itself that nobody asks for: docs/ARCHITECTURE.md, Crash loops. */
const KEPT_MS = 10 * MINUTE_MS;

export interface VersionName {
	readonly project: string;
	readonly function: string;
	readonly version: number;
}

/** What is known of a version that crashes again and again, and which node found it out last. */
export interface KnownCrashLoop extends CrashLoop {
	readonly node: string;
}

/** The rest has an end by the wall clock, which is the only one that machines share. */
type Kept = Omit<KnownCrashLoop, "retryAfterMs"> & { readonly untilMs: number };

/**
 * Versions that crash again and again, on the fast Redis: for a node that begins with one, be it for the first time or since its worker started again, and
 * for who asks why something waits. A hint: nothing is refused for its being lost, and nobody who runs something warm looks.
 */
export class CrashLoopRecords {
	readonly #redis: Redis;
	readonly #log: QueueLogger;

	/** It owns the connection. @param redis for `command` use */
	constructor(redis: Redis, log: QueueLogger) {
		this.#redis = redis;
		this.#log = log;
	}

	/** Remembers it, in the background. */
	keep(of: VersionName, { retryAfterMs, ...loop }: KnownCrashLoop): void {
		const kept: Kept = { ...loop, untilMs: sharedNow() + retryAfterMs };
		this.#try(of, this.#redis.set(crashLoopOf(of), JSON.stringify(kept), "PX", KEPT_MS));
	}

	/** It has answered. */
	forget(of: VersionName): void {
		this.#try(of, this.#redis.del(crashLoopOf(of)));
	}

	/** Undefined for a version that isn't known to be one, also because it can't be asked now. */
	async find(of: VersionName): Promise<KnownCrashLoop | undefined> {
		try {
			const text = await this.#redis.get(crashLoopOf(of));
			if (text === null) return undefined;
			const { untilMs, ...loop } = JSON.parse(text) as Kept;
			return { ...loop, retryAfterMs: Math.max(0, untilMs - sharedNow()) };
		} catch (error) {
			this.#log.warn({ error, ...of }, "whether a version crashes again and again couldn't be looked up");
			return undefined;
		}
	}

	async close(): Promise<void> {
		await closeRedis(this.#redis);
	}

	#try(of: VersionName, written: Promise<unknown>): void {
		written.catch((error: unknown) =>
			this.#log.warn({ error, ...of }, "that a version crashes again and again, or no longer, couldn't be told to others"),
		);
	}
}
