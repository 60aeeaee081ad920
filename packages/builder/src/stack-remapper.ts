import { Worker } from "node:worker_threads";
import { type ImageReference, SANDBOX_PATHS } from "@berth/contracts";
import type { ImageStore } from "@berth/registry";
import type { StackAnswer, StackQuestion } from "./source-map-thread.js";
import { placeInImage } from "./stored-layer.js";

/** How long an error waits for the places in its source, milliseconds. */
const WAIT_MS = 2000;
/** Stacks that may wait; what comes beyond stays as it is. */
const MOST_WAITING = 64;
/** A few maps of nothing but mappings, decoded. Past it the thread ends, and the next stack starts another. */
const HEAP_MIB = 512;

/**
 * Turns stacks into terms of the source, in a thread: reading a map of 4 MiB takes up to half a second,
 * in which a worker's other functions neither start nor answer.
 */
export class StackRemapper {
	readonly #images: ImageStore;
	readonly #onFailure: (error: Error) => void;
	readonly #program: URL;
	readonly #waitMs: number;
	readonly #waiting = new Map<number, (stack: string | undefined) => void>();
	#thread: Worker | undefined;
	#asked = 0;

	/**
	 * @param onFailure told why the thread ended; the next stack starts another
	 * @param more the thread's program, and how long an error waits (2 s), milliseconds; for tests
	 */
	constructor(images: ImageStore, onFailure: (error: Error) => void, more: { readonly program?: URL; readonly waitMs?: number } = {}) {
		this.#images = images;
		this.#onFailure = onFailure;
		this.#program = more.program ?? new URL("./source-map-thread.js", import.meta.url);
		this.#waitMs = more.waitMs ?? WAIT_MS;
	}

	/** A stack in terms of the function's source; as it was when that can't be had in time. Never rejects. */
	async remap(image: Pick<ImageReference, "layers" | "entry">, stack: string): Promise<string> {
		const code = image.layers.at(-1);
		if (code === undefined || !stack.includes(SANDBOX_PATHS.code) || this.#waiting.size >= MOST_WAITING) return stack;
		const file = { layer: this.#images.blobPath(code.digest), name: placeInImage(`${image.entry}.map`) };
		return (await this.#ask({ id: ++this.#asked, file, stack })) ?? stack;
	}

	/** Ends the thread. */
	async close(): Promise<void> {
		await this.#thread?.terminate();
	}

	#ask(question: StackQuestion): Promise<string | undefined> {
		return new Promise((resolve) => {
			const late = setTimeout(() => resolve(undefined), this.#waitMs);
			this.#waiting.set(question.id, (stack) => {
				clearTimeout(late);
				resolve(stack);
			});
			this.#thread ??= this.#start();
			this.#thread.postMessage(question);
		});
	}

	#start(): Worker {
		const thread = new Worker(this.#program, { env: {}, resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB } });
		thread.on("message", ({ id, stack }: StackAnswer) => this.#answer(id, stack));
		thread.on("error", this.#onFailure);
		thread.once("exit", () => {
			this.#thread = undefined;
			for (const id of this.#waiting.keys()) this.#answer(id, undefined);
		});
		thread.unref();
		return thread;
	}

	#answer(id: number, stack: string | undefined): void {
		this.#waiting.get(id)?.(stack);
		this.#waiting.delete(id);
	}
}
