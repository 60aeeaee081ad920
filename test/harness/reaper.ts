import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";

const PROCESS = fileURLToPath(new URL("./reaper-process.mjs", import.meta.url));

/**
 * Watches over a stack's end: a process in a session of its own that takes the stack down, and its data directory away,
 * once nobody holds the lifeline any more. So a suite that is killed leaves nothing either.
 */
export class Reaper {
	readonly #child: ChildProcess;

	/** @param env the stack's, with which it is taken down */
	constructor(cli: string, dataDir: string, env: Readonly<Record<string, string>>) {
		this.#child = spawn(process.execPath, [PROCESS, cli], { env, detached: true, stdio: ["pipe", "ignore", "inherit"] });
		this.#child.unref();
		this.lifeline.write(dataDir);
	}

	/** What a command gets that starts the stack, to hold while it runs. */
	get lifeline(): Writable {
		if (this.#child.stdin === null) throw new Error("the reaper has no stdin");
		return this.#child.stdin;
	}

	/** When the data directory is gone: there is nothing left for it to do. */
	async dismiss(): Promise<void> {
		const ended = once(this.#child, "exit");
		this.#child.ref();
		this.lifeline.end();
		await ended;
	}
}
