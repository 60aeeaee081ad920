import type { Freezer } from "../../freezer.js";
import { type DockerApi, DockerError } from "./docker-api.js";

/** What the Engine says of a container that it couldn't pause before, with a status that says nothing. */
const AWAKE = /is not paused/;

/** Pauses and unpauses a container. One after the other: who thaws one that is being frozen waits until it is. */
export class ContainerFreezer implements Freezer {
	readonly #api: Pick<DockerApi, "ask">;
	readonly #container: string;
	#turn: Promise<void> = Promise.resolve();

	constructor(api: Pick<DockerApi, "ask">, container: string) {
		this.#api = api;
		this.#container = container;
	}

	freeze(): Promise<void> {
		return this.#then("pause");
	}

	thaw(): Promise<void> {
		return this.#then("unpause").catch((error: unknown) => {
			if (!(error instanceof DockerError && AWAKE.test(error.message))) throw error;
		});
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
