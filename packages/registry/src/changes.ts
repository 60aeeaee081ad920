import { EventEmitter } from "node:events";
import { type ConnectionLog, type Redis, Subscription } from "@berth/redis";
import { keys } from "./keys.js";

/** News of functions that changed: a hint, never the truth. Silence after a reconnect counts as news of everything. */
export class Changes {
	readonly #emitter = new EventEmitter().setMaxListeners(0);

	/** @param redis a connection for `subscriber` use, which isn't owned */
	static async open(redis: Redis, log?: ConnectionLog): Promise<Changes> {
		const changes = new Changes();
		const events = { onMessage: (name: string) => changes.#emit(name), onResumed: () => changes.#emit(undefined) };
		await new Subscription(redis, [keys.changes], events, log).listening;
		return changes;
	}

	/** @param listener gets `project/name`, or undefined when anything may have changed. @returns how to stop */
	listen(listener: (name: string | undefined) => void): () => void {
		this.#emitter.on("changed", listener);
		return () => this.#emitter.off("changed", listener);
	}

	#emit(name: string | undefined): void {
		this.#emitter.emit("changed", name);
	}
}
