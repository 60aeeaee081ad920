import { Redis } from "ioredis";

/** What a server keeps: what was deployed and accepted for later, or what is in flight. */
export type RedisRole = "durable" | "fast";

/** The most commands that one connection keeps for a server that is away. What it was sent and doesn't answer is bounded by how long it may be silent. */
const MOST_KEPT = 10_000;

/** What a connection is begun with goes past those that are kept. */
const BEGINNING: ReadonlySet<string> = new Set(["auth", "client", "hello", "info", "select"]);

/** A connection whose queue has an end: ioredis itself keeps whatever is asked. */
export class BoundedRedis extends Redis {
	/** What its server is to Berth, in words for callers: they aren't told where it is. */
	serves: RedisRole = "durable";

	override sendCommand(...[command, stream]: Parameters<Redis["sendCommand"]>): unknown {
		// Of ioredis 6.0.0 (`built/Redis.js`), which doesn't declare it public.
		const { offlineQueue } = this as unknown as { readonly offlineQueue: { readonly length: number } };
		if (offlineQueue.length < MOST_KEPT || BEGINNING.has(command.name)) return super.sendCommand(command, stream);
		command.reject(new Error(`${MOST_KEPT} commands wait for Redis on this connection; it takes no more`));
		return command.promise;
	}
}
