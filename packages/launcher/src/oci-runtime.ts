import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Children } from "./children.js";

/** What a container's first process is given as standard output and error. */
export interface Output {
	readonly stdout: number;
	readonly stderr: number;
}

/** crun or runc: both take the same arguments. */
export class OciRuntime {
	readonly #binary: string;
	readonly #state: string;
	readonly #children: Children;

	/** @param state the runtime's own state directory (`--root`) */
	constructor(binary: string, state: string, children: Children) {
		this.#binary = binary;
		this.#state = state;
		this.#children = children;
	}

	/** Where the runtime keeps a container's state; whoever removes the container removes it. */
	stateOf(id: string): string {
		return join(this.#state, id);
	}

	/**
	 * Makes and starts a container from the bundle's config.json. Resolves with the pid of its first
	 * process, which is then a child of ours (the launcher is a subreaper).
	 */
	async run(id: string, bundle: string, output: Output): Promise<number> {
		const pidFile = join(bundle, "pid");
		const log = join(bundle, "runtime.log");
		const args = ["--root", this.#state, "--log", log, "run", "--detach", "--pid-file", pidFile, "--bundle", bundle, id];
		const code = await this.#children.exitOf(spawn(this.#binary, args, { stdio: ["ignore", output.stdout, output.stderr], env: {} }));
		if (code !== 0) throw new Error(`${this.#binary} run ended with ${code}: ${lastLine(log)}`);
		return Number(readFileSync(pidFile, "utf8"));
	}
}

function lastLine(log: string): string {
	return readFileSync(log, { encoding: "utf8", flag: "a+" }).trim().split("\n").at(-1) || "it said nothing";
}
