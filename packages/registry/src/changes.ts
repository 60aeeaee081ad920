import { EventEmitter } from "node:events";
import { openRedis, type Redis } from "@berth/redis";
import { keys } from "./keys.js";

/** News of functions that changed: a hint, never the truth. Silence after a reconnect counts as news of everything. */
export class Changes {
	readonly #emitter = new EventEmitter().setMaxListeners(0);
	readonly #redis: Redis;

	private constructor(redis: Redis) {
		this.#redis = redis;
		redis.on("message", (_channel: string, name: string) => this.#emitter.emit("changed", name));
		redis.on("ready", () => this.#emitter.emit("changed", undefined));
	}

	static async open(url: string): Promise<Changes> {
		const redis = await openRedis(url, "patient");
		await redis.subscribe(keys.changes);
		return new Changes(redis);
	}

	/** @param listener gets `project/name`, or undefined when anything may have changed. @returns how to stop */
	listen(listener: (name: string | undefined) => void): () => void {
		this.#emitter.on("changed", listener);
		return () => this.#emitter.off("changed", listener);
	}

	close(): void {
		this.#redis.disconnect();
	}
}
