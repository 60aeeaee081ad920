import type { Freezer } from "../../freezer.js";
import type { DockerApi } from "./docker-api.js";

/** Pauses and unpauses a container. One after the other: who thaws one that is being frozen waits until it is. */
export class ContainerFreezer implements Freezer {
	readonly #api: DockerApi;
	readonly #container: string;
	#turn: Promise<void> = Promise.resolve();

	constructor(api: DockerApi, container: string) {
		this.#api = api;
		this.#container = container;
	}

	freeze(): Promise<void> {
		return this.#then("pause");
	}

	thaw(): Promise<void> {
		return this.#then("unpause");
	}

	close(): void {
		// Nothing is held for it.
	}

	#then(what: "pause" | "unpause"): Promise<void> {
		const done = this.#turn.then(() => this.#api.ask<void>(`/containers/${this.#container}/${what}`, { method: "POST" }));
		this.#turn = done.catch(() => undefined);
		return done;
	}
}
