import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Children } from "./children.js";

/** What a container's first process is given as standard output and error. */
export interface Output {
	readonly stdout: number;
	readonly stderr: number;
}

/** In what one runtime's command line differs from another's. */
export interface Dialect {
	/** @param state the directory for the state of all, `own` for this container's */
	flags(state: string, own: string): readonly string[];
	/** Why it failed, from its log. */
	reason(log: string): string | undefined;
}

/** crun and runc. */
export const PLAIN: Dialect = {
	flags: (state) => ["--root", state],
	reason: (log) => log.trim().split("\n").at(-1),
};

/**
 * gVisor. Its network is its own loopback; of the host's sockets it connects to the agent's, the one that is mounted; nothing that is
 * written to a read-only root is kept in memory instead. The platform is what its version has for a machine of any kind (ptrace, later systrap).
 */
export const GVISOR: Dialect = {
	flags: (_, own) => ["--root", own, "--network=none", "--host-uds=open", "--overlay2=none"],
	// Objects without a line between them; what comes after the first are its consequences.
	reason: (log) => /"msg":("(?:[^"\\]|\\.)*")/.exec(log)?.[1],
};

/** An OCI runtime: all of them take the same arguments, but for their flags. */
export class OciRuntime {
	readonly #binary: string;
	readonly #state: string;
	readonly #children: Children;
	readonly #dialect: Dialect;

	/** @param state the runtime's own state directory (`--root`) */
	constructor(binary: string, state: string, children: Children, dialect: Dialect = PLAIN) {
		this.#binary = binary;
		this.#state = state;
		this.#children = children;
		this.#dialect = dialect;
	}

	/** Where the runtime keeps a container's state; whoever removes the container removes it. */
	stateOf(id: string): string {
		return join(this.#state, id);
	}

	/**
	 * Makes and starts a container from the bundle's config.json. Resolves with the pid of its first
	 * process, of gVisor that of its kernel, which is then a child of ours (the launcher is a subreaper).
	 */
	async run(id: string, bundle: string, output: Output): Promise<number> {
		const pidFile = join(bundle, "pid");
		const log = join(bundle, "runtime.log");
		const flags = [...this.#dialect.flags(this.#state, this.stateOf(id)), "--log", log];
		const args = [...flags, "run", "--detach", "--pid-file", pidFile, "--bundle", bundle, id];
		const code = await this.#children.exitOf(spawn(this.#binary, args, { stdio: ["ignore", output.stdout, output.stderr], env: {} }));
		if (code !== 0) throw new Error(`${this.#binary} run ended with ${code}: ${this.#dialect.reason(read(log)) || "it said nothing"}`);
		return Number(readFileSync(pidFile, "utf8"));
	}
}

function read(log: string): string {
	return readFileSync(log, { encoding: "utf8", flag: "a+" });
}
