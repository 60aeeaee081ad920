import { setTimeout as wait } from "node:timers/promises";
import { type Redis, ReplyError } from "ioredis";
import { COMMAND_MS } from "./connection.js";
import { timeOf } from "./shared-time.js";

/** A command is done within the first half of the time that its caller waits, or never: the other half is for its answer. */
const IN_TIME_MS = COMMAND_MS / 2;
/** Clocks are set: a server's is asked again after so long. */
const LEARNT_MS = 10_000;
const LATE = "LATE ";

/** Lua, before a script that isn't to be run after its last argument, milliseconds of the server's clock: it does nothing then. */
export const NOT_AFTER = `
	do
		local time = redis.call("TIME")
		local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
		if nowMs > tonumber(ARGV[#ARGV]) then return redis.error_reply("${LATE}" .. string.format("%d", nowMs)) end
	end
`;

/** The server read a command when it was too late for it: it did nothing. */
export class TooLateError extends Error {
	constructor() {
		super(`it took longer than ${IN_TIME_MS} ms to get to it, and then did nothing`);
	}
}

/**
 * The clock of a server, as one connection knows it: with it a server that was silent, or a network, can be told what it isn't to do any more when it
 * goes on. What is known of the clock is never more than it shows; a server whose clock stands still with it doesn't know that it is late.
 */
export class ServerClock {
	readonly #redis: Redis;
	/** At least so much it is ahead of this process's monotonic clock, milliseconds; unknown on a new connection, which may lead to another server. */
	#aheadMs: number | undefined;
	#learntAtMs = Number.NEGATIVE_INFINITY;
	#learning: Promise<number> | undefined;

	/** @param redis a connection for `command` use */
	constructor(redis: Redis) {
		this.#redis = redis;
		redis.on("close", () => {
			this.#aheadMs = undefined;
		});
	}

	/**
	 * Sends what begins with NOT_AFTER, once more should it come too late. When this rejects it was done, without an answer, or it never will be.
	 * @param send is given its last argument
	 * @throws TooLateError when it is known not to have been done, and whatever `send` rejects with
	 */
	async inTime<T>(send: (notAfterMs: number) => Promise<T>): Promise<T> {
		const beganMs = performance.now();
		try {
			return await this.#once(send);
		} catch (error) {
			if (!(error instanceof TooLateError) || performance.now() - beganMs > COMMAND_MS) throw error;
			return await this.#once(send);
		}
	}

	async #once<T>(send: (notAfterMs: number) => Promise<T>): Promise<T> {
		const aheadMs = this.#aheadMs ?? (await this.#learn());
		const sentMs = performance.now();
		if (sentMs - this.#learntAtMs > LEARNT_MS) this.#learn().catch(() => undefined);
		try {
			return await send(Math.floor(sentMs + aheadMs + IN_TIME_MS));
		} catch (error) {
			const shownMs = shownBy(error);
			if (shownMs !== undefined) {
				this.#aheadMs = Math.max(aheadMs, shownMs - performance.now());
				throw new TooLateError();
			}
			// Without an answer it may still be done.
			if (!(error instanceof ReplyError)) await wait(Math.max(0, sentMs + IN_TIME_MS - performance.now()));
			throw error;
		}
	}

	#learn(): Promise<number> {
		this.#learntAtMs = performance.now();
		this.#learning ??= this.#ask().finally(() => {
			this.#learning = undefined;
		});
		return this.#learning;
	}

	async #ask(): Promise<number> {
		this.#aheadMs = (await timeOf(this.#redis)) - performance.now();
		return this.#aheadMs;
	}
}

/** What the clock showed when a command was too late. */
function shownBy(error: unknown): number | undefined {
	const text = error instanceof Error && error instanceof ReplyError ? error.message : "";
	return text.startsWith(LATE) ? Number(text.slice(LATE.length)) : undefined;
}
