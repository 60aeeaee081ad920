import { execFileSync } from "node:child_process";
import { chmodSync, constants, existsSync, linkSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A directory of one, with the pid of whoever made it. */
const OURS = /^berth-witness-(\d+)-/;

/**
 * Writes down what functions say, on whatever machine of a cluster they run, in the order in which they say it: a FIFO in a bind mount. That is read-only,
 * which means files. No network is between, so that a machine that is cut off from everything is heard as well. Whoever started it closes it.
 */
export class Witness implements AsyncDisposable {
	readonly #directory: string;
	readonly #fifo: string;
	readonly #pipe: Socket;
	#said: string[] = [];

	private constructor(directory: string, fifo: string) {
		this.#directory = directory;
		this.#fifo = fifo;
		// Written to as well, as far as the kernel knows: so it never ends.
		this.#pipe = new Socket({ fd: openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK), readable: true, writable: false });
		createInterface(this.#pipe).on("line", (line) => this.#said.push(line));
	}

	static async start(): Promise<Witness> {
		for (const name of readdirSync(tmpdir())) {
			const [, pid] = OURS.exec(name) ?? [];
			if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
		}
		const directory = await mkdtemp(join(tmpdir(), `berth-witness-${process.pid}-`));
		await chmod(directory, 0o755);
		const fifo = join(directory, "journal");
		execFileSync("mkfifo", [fifo]);
		await chmod(fifo, 0o666);
		return new Witness(directory, fifo);
	}

	/** `BERTH_BINDS` of a machine: the FIFO, which is the same for all, and a file that says which of them this is. */
	settingOf(machine: string): string {
		const directory = join(this.#directory, machine);
		mkdirSync(directory);
		chmodSync(directory, 0o755);
		linkSync(this.#fifo, join(directory, "journal"));
		writeFileSync(join(directory, "machine"), machine);
		return `witness=${directory}`;
	}

	/** Where functions with `binds: ["witness"]` write lines. */
	readonly path = "/mnt/witness/journal";
	/** Where they read which machine they are on. */
	readonly machinePath = "/mnt/witness/machine";

	/** What was said since the last time. */
	taken(): readonly string[] {
		const said = this.#said;
		this.#said = [];
		return said;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#pipe.destroy();
		rmSync(this.#directory, { recursive: true, force: true });
	}
}
