import { Redis, type RedisOptions } from "ioredis";
import type { ConnectionOptions } from "./address.js";

/** What a server keeps: what was deployed and accepted for later, or what is in flight. */
export type RedisRole = "durable" | "fast";

/** The most commands that one connection keeps for a server that is away. What it was sent and doesn't answer is bounded by how long it may be silent. */
const MOST_KEPT = 10_000;
/** How soon one that ended by itself is made anew, milliseconds. */
const ANEW_MS = 25;

/** What a connection is begun with goes past those that are kept. */
const BEGINNING: ReadonlySet<string> = new Set(["auth", "client", "hello", "info", "select"]);

/**
 * A connection whose queue has an end: ioredis itself keeps whatever is asked. And one that lasts until it is closed: ioredis (6.0.0) gives one up for
 * good that hears of a failover from the Sentinels while it is being made, as most are then.
 */
export class BoundedRedis extends Redis {
	/** What its server is to Berth, in words for callers: they aren't told where it is. */
	serves: RedisRole = "durable";
	/** Which start of its server it leads to, or led to last: known before anything is sent. */
	start: string | undefined;
	#closed = false;

	constructor(options: ConnectionOptions) {
		super(options);
		this.on("end", () => {
			if (!this.#closed) setTimeout(() => this.#again(), ANEW_MS);
		});
	}

	override sendCommand(...[command, stream]: Parameters<Redis["sendCommand"]>): unknown {
		if (command.name === "quit") this.#closed = true;
		if (command.name === "info") this.#note(command);
		// Of ioredis 6.0.0 (`built/Redis.js`), which doesn't declare it public.
		const { offlineQueue } = this as unknown as { readonly offlineQueue: { readonly length: number } };
		if (offlineQueue.length < MOST_KEPT || BEGINNING.has(command.name)) return super.sendCommand(command, stream);
		command.reject(new Error(`${MOST_KEPT} commands wait for Redis on this connection; it takes no more`));
		return command.promise;
	}

	/** Also one that was closed. */
	override connect(...[callback]: Parameters<Redis["connect"]>): Promise<void> {
		// ioredis calls this as it makes the object.
		if (#closed in this) this.#closed = false;
		return super.connect(callback);
	}

	override disconnect(reconnect = false): void {
		if (!reconnect) this.#closed = true;
		super.disconnect(reconnect);
	}

	/** BullMQ makes those that block for a job. */
	override duplicate(override?: Partial<RedisOptions>): Redis {
		const { replyMapping: _, ...options }: RedisOptions = { ...this.options, ...override };
		return new BoundedRedis(options);
	}

	/** What ioredis asks before a connection is ready says which start of the server it is. */
	#note(command: Parameters<Redis["sendCommand"]>[0]): void {
		const { resolve } = command;
		command.resolve = (info) => {
			this.start = /^run_id:(\w+)/m.exec(String(info))?.[1] ?? this.start;
			resolve(info);
		};
	}

	#again(): void {
		// What fails is told as an event.
		if (!this.#closed && this.status === "end") this.connect().catch(() => undefined);
	}
}
