import type { Services } from "./services.js";

/**
 * Keeps the artifact store's copies of functions up to date: their aliases are nowhere else but in the durable Redis. By news,
 * and all of them whenever news may have been lost. Any number of gateways may do it; each reads anew before it writes.
 */
export class FunctionCopies {
	readonly #services: Pick<Services, "functions" | "keys" | "artifacts" | "log">;
	readonly #changed = new Set<string>();
	/** Whether any may have changed. */
	#all = true;
	#running: Promise<void> | undefined;
	#unlisten: (() => void) | undefined;

	constructor(services: Pick<Services, "functions" | "keys" | "artifacts" | "log">) {
		this.#services = services;
	}

	/** Copies everything now, and what changes from now on, until `stop`. */
	start(): void {
		this.#unlisten = this.#services.functions.onChange((key) => {
			if (key === undefined) this.#all = true;
			else this.#changed.add(key);
			void this.run();
		});
		void this.run();
	}

	async stop(): Promise<void> {
		this.#unlisten?.();
		await this.#running;
	}

	/** Copies what has changed and wasn't copied yet; never rejects. What fails is left for the next time. */
	run(): Promise<void> {
		this.#running ??= this.#copyAll().finally(() => {
			this.#running = undefined;
		});
		return this.#running;
	}

	async #copyAll(): Promise<void> {
		const { functions, keys, log } = this.#services;
		try {
			while (this.#all || this.#changed.size > 0) {
				// Until what was lost has come back, the copies are all that says where its aliases led.
				if (!(await functions.store.isWhole())) {
					this.#all = true;
					return;
				}
				if (this.#all) {
					this.#all = false;
					for (const project of await keys.projects.list())
						for (const { name } of await functions.listFunctions(project.name)) this.#changed.add(`${project.name}/${name}`);
				}
				for (const key of this.#changed) {
					this.#changed.delete(key);
					await this.#copy(key);
				}
			}
		} catch (err) {
			this.#all = true;
			log.warn({ err }, "copies of functions are put off");
		}
	}

	/** One that isn't there was deleted, and its copy with it; or all are lost, and the copy is what is left of it. */
	async #copy(key: string): Promise<void> {
		const { functions, artifacts } = this.#services;
		const [project = "", name = ""] = key.split("/", 2);
		const summary = await functions.getFunction(project, name);
		if (summary !== undefined) await artifacts.functions.put(summary);
	}
}
