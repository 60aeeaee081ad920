import { BerthError } from "@berth/contracts";
import { type Redis, ReplyError } from "ioredis";
import { BoundedRedis } from "./bounded.js";

/** How long a command may wait for a connection that is just being made again, milliseconds: a server that is restarted is there within it. */
export const READY_WAIT_MS = 1000;

/** Waits at most `waitMs` until commands can be sent; whether they can. */
export async function untilReady(redis: Redis, waitMs: number): Promise<boolean> {
	if (redis.status === "ready") return true;
	if (redis.status === "end") return false;
	return await new Promise<boolean>((resolve) => {
		const done = (ready: boolean) => {
			clearTimeout(timer);
			redis.off("ready", onReady);
			redis.off("end", onEnd);
			resolve(ready);
		};
		const onReady = () => done(true);
		const onEnd = () => done(false);
		const timer = setTimeout(done, waitMs, false);
		redis.once("ready", onReady);
		redis.once("end", onEnd);
	});
}

/**
 * Runs commands for somebody who waits, on a connection for `command` use.
 * @param what they do, for the message
 * @throws BerthError `unavailable` within about 1.9 s when Redis is away, full or read-only; other BerthErrors pass
 */
export async function guarded<T>(redis: Redis, what: string, work: () => Promise<T>): Promise<T> {
	if (redis.status !== "ready" && !(await untilReady(redis, READY_WAIT_MS))) throw unavailable(redis, what);
	try {
		return await work();
	} catch (error) {
		throw error instanceof BerthError ? error : unavailable(redis, what, error);
	}
}

/** What a server that answers says when it doesn't take a command, by the word that its answer begins with. */
const REFUSALS: Readonly<Record<string, string>> = {
	READONLY: "is a replica, and takes no writes (READONLY); its operator, or a failover, has to name a server that does",
	NOREPLICAS: "takes no writes while it has fewer replicas than its min-replicas-to-write (NOREPLICAS); its operator has to mend that",
	MISCONF: "takes no writes, since it can't save to its disk (MISCONF); its operator has to mend that",
	OOM: "is full, and takes no more (OOM); its operator has to give it a larger maxmemory, or to make room",
	LOADING: "is reading its files after a start (LOADING); try again",
};

/** Whether a server said that it doesn't take a command: it did nothing of it. */
export function isRefusal(error: unknown): boolean {
	return error instanceof Error && error instanceof ReplyError && (error.message.split(" ", 1)[0] ?? "") in REFUSALS;
}

/** Whether a command was never sent: its connection has ended, and doesn't know it yet. As ioredis (6.0.0) words it, which has nothing else to tell it by. */
export function isUnsent(error: unknown): boolean {
	return error instanceof Error && error.message.startsWith("Stream isn't writeable");
}

/**
 * Which start of its server a connection leads to, before and after it is made anew, too: a server that was started again, or a replica in its place,
 * has another one, and may lack what it was told last. To be compared with an earlier answer, at no cost. Undefined where the server doesn't say.
 */
export function startOf(redis: Redis): string | undefined {
	return redis instanceof BoundedRedis ? redis.start : undefined;
}

/** The error for a Redis that can't be reached or doesn't take the write: it says which, and not where it is. */
export function unavailable(redis: Redis, what: string, cause?: unknown): BerthError {
	const server = redis instanceof BoundedRedis ? `the ${redis.serves} Redis` : "Redis";
	return new BerthError("unavailable", `${what}: ${server} ${troubleOf(cause)}`, { cause });
}

function troubleOf(cause: unknown): string {
	if (!(cause instanceof ReplyError && cause instanceof Error)) return `doesn't answer${reasonOf(cause)}; try again`;
	const { message } = cause;
	// A script's error goes on with which script it was.
	const own = message.replace(/ script: .*$/s, "");
	return REFUSALS[own.split(" ", 1)[0] ?? ""] ?? `refuses that (${own}); its operator has to look at it`;
}

/** The system's errors have the address in their words. */
function reasonOf(cause: unknown): string {
	if (!(cause instanceof Error)) return "";
	// Its client has a word for it that names a setting of the client's own.
	if (cause.name === "MaxRetriesPerRequestError") return " (the connection was lost)";
	return ` (${"syscall" in cause && "code" in cause ? cause.code : cause.message})`;
}
