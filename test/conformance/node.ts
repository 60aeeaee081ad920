import type { Sandboxes } from "./sandboxes.js";
import type { Loaded } from "./under-load.js";

/** A node without what is around it: what makes sandboxes, and a worker's pool on that. Whoever opened it closes it. */
export interface TestNode {
	readonly dataDir: string;
	/** The worker's; others after `killed`. */
	readonly sandboxes: Sandboxes;
	/** Sandboxes that there are, whoever knows of them. */
	made(): Promise<readonly string[]>;
	/** Pids of a sandbox, as the host counts them. */
	processesOf(sandbox: string): readonly string[];
	/** kill -9 of what drives sandboxes, of which one rests and one runs; resolves when another is in its place. */
	killed(): Promise<Loaded>;
	/** Takes it down. @returns what it has left */
	close(): Promise<readonly string[]>;
}
