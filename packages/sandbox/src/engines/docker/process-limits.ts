import type { DockerApi } from "./docker-api.js";

/**
 * Limits the processes of a build's containers, as the builder has no limit for them. Which container runs, only its output says,
 * and an instruction may print the same: so that is no more than a reason to look for those with the build's label, one look at a time.
 */
export class ProcessLimits {
	readonly #api: DockerApi;
	readonly #label: string;
	readonly #pids: number;
	readonly #limited = new Set<string>();
	#looking: Promise<void> | undefined;
	#again = false;
	#failure: unknown;

	constructor(api: DockerApi, label: string, pids: number) {
		this.#api = api;
		this.#label = label;
		this.#pids = pids;
	}

	/** A container may be about to run. */
	look(): void {
		this.#again = true;
		this.#looking ??= this.#look()
			.catch((error: unknown) => {
				this.#failure ??= error;
			})
			.finally(() => {
				this.#looking = undefined;
			});
	}

	/** Resolves when every look is over. @throws DockerError when one failed */
	async settled(): Promise<void> {
		await this.#looking;
		if (this.#failure !== undefined) throw this.#failure;
	}

	async #look(): Promise<void> {
		const filters = JSON.stringify({ label: [this.#label] });
		while (this.#again) {
			this.#again = false;
			const there = await this.#api.ask<readonly { readonly Id: string }[]>("/containers/json", { query: { all: 1, filters } });
			for (const { Id } of there) if (!this.#limited.has(Id)) await this.#limit(Id);
		}
	}

	async #limit(id: string): Promise<void> {
		// 404, 409, 500: it has ended by now, or is about to.
		const json = { PidsLimit: this.#pids };
		const answer = await this.#api.send(`/containers/${id}/update`, { method: "POST", json, accept: [404, 409, 500] });
		answer.resume();
		if (answer.statusCode === 200) this.#limited.add(id);
	}
}
