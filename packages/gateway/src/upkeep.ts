import { MINUTE_MS, SECOND_MS } from "@berth/contracts";
import { sweepLeftBodies } from "./background/left-bodies.js";
import { FunctionCopies } from "./function-copies.js";
import type { Services } from "./services.js";

const EVERY_MS = 30 * SECOND_MS;
/** A source may be here before the version that is made of it, by the time of a deploy. */
const SOURCE_SPARED_MS = 10 * MINUTE_MS;

/**
 * Mends what a process that died, or a Redis that was away, left half done: a version whose build isn't
 * in the queue is put there again, a source that no version is made of is removed, functions are copied, lists of invocations swept, and what
 * is left of deleted functions in the background goes, and of removed projects, and of bodies. Any number of
 * gateways may do it at the same time.
 */
export class Upkeep {
	readonly #services: Services;
	readonly #copies: FunctionCopies;
	#timer: NodeJS.Timeout | undefined;
	#running: Promise<void> | undefined;
	/** Bodies may be many: no round waits for them, and the end only for those in hand. */
	#sweeping: Promise<void> | undefined;
	readonly #stopping = new AbortController();

	constructor(services: Services) {
		this.#services = services;
		this.#copies = new FunctionCopies(services);
	}

	/** Does it now, and again every half a minute until `stop`. */
	start(): void {
		this.#timer = setInterval(() => void this.run(), EVERY_MS);
		void this.run();
		this.#copies.start();
	}

	async stop(): Promise<void> {
		clearInterval(this.#timer);
		this.#stopping.abort();
		await this.#running;
		await this.#sweeping;
		await this.#copies.stop();
	}

	/** One round; never rejects. */
	run(): Promise<void> {
		this.#running ??= this.#round().finally(() => {
			this.#running = undefined;
		});
		return this.#running;
	}

	#sweepBodies(): void {
		const { log } = this.#services;
		this.#sweeping ??= sweepLeftBodies(this.#services, undefined, this.#stopping.signal)
			.then(
				() => undefined,
				(err: unknown) => log.warn({ err }, "bodies that nobody needs are removed later"),
			)
			.finally(() => {
				this.#sweeping = undefined;
			});
	}

	async #round(): Promise<void> {
		await this.#copies.run();
		const { functions, keys, builds, artifacts, invocations, log } = this.#services;
		await invocations.sweepLists().catch((err: unknown) => log.warn({ err }, "lists of invocations are swept later"));
		await invocations.forgetDeleted().catch((err: unknown) => log.warn({ err }, "what deleted functions left is forgotten later"));
		await keys.projects.removeLeftCounters().catch((err: unknown) => log.warn({ err }, "counters of removed projects go later"));
		this.#sweepBodies();
		try {
			// One version is one job: those that are in the queue stay as they are.
			for (const task of await functions.unfinished()) await builds.add(task);
			// What isn't on record may be what the records were lost of.
			if (await functions.store.isWhole())
				await artifacts.sources.sweep(async (digest) => !(await functions.usesSource(digest)), SOURCE_SPARED_MS);
		} catch (err) {
			log.warn({ err }, "the upkeep of builds and sources is put off");
		}
	}
}
