import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { closeRedis, openRedis, type Redis } from "../connection.js";

const READY = "ready to accept connections";
/** Redis's own name for the directory of its append-only files, and where a copy of it is kept. */
const FILES = "appendonlydir";
const KEPT = "kept";

/** A redis-server of a test's own: on a unix socket in a temporary directory, everything acknowledged on disk. */
export class RedisServer implements AsyncDisposable {
	readonly url: string;
	readonly #directory: string;
	readonly #options: readonly string[];
	#child: ChildProcess | undefined;

	private constructor(directory: string, options: readonly string[]) {
		this.#directory = directory;
		this.#options = options;
		this.url = `unix://${join(directory, "redis.sock")}`;
	}

	/** Starts one. @param options more of its command line, `["--maxmemory", "2mb"]` */
	static async start(...options: readonly string[]): Promise<RedisServer> {
		const server = new RedisServer(await mkdtemp(join(tmpdir(), "redis-")), options);
		await server.start();
		return server;
	}

	/** Starts it after `kill`, with all that it had. */
	async start(): Promise<void> {
		const files = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", this.#directory];
		const socket = ["--port", "0", "--unixsocket", join(this.#directory, "redis.sock")];
		// Should this process be killed, the kernel ends the server, too.
		const command = ["--pdeathsig", "KILL", "--", "redis-server", ...socket, ...files, ...this.#options];
		const child = spawn("setpriv", command, { stdio: ["ignore", "pipe", "inherit"] });
		this.#child = child;
		for await (const line of createInterface(child.stdout)) {
			if (!line.includes(READY)) continue;
			child.stdout.resume();
			return;
		}
		throw new Error("redis-server ended before it was ready");
	}

	/** Keeps what it has acknowledged up to now. */
	async keep(): Promise<void> {
		await cp(join(this.#directory, FILES), join(this.#directory, KEPT), { recursive: true });
	}

	/** Ends as in a crash, and starts with what it had when that was kept: as one whose newest writes never reached its disk does, or a replica that lagged. */
	async loseSinceKept(): Promise<void> {
		await this.kill();
		await rm(join(this.#directory, FILES), { recursive: true });
		await cp(join(this.#directory, KEPT), join(this.#directory, FILES), { recursive: true });
		await this.start();
	}

	get running(): boolean {
		return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
	}

	/** As a crash does. */
	async kill(): Promise<void> {
		const child = this.#child;
		if (child === undefined || !this.running) return;
		const exited = once(child, "exit");
		child.kill("SIGKILL");
		await exited;
	}

	/** Runs commands on a connection of their own. */
	async client<T>(commands: (redis: Redis) => Promise<T>): Promise<T> {
		const [redis] = await openRedis([{ url: this.url, use: "patient", name: "test-client" }]);
		try {
			return await commands(redis);
		} finally {
			await closeRedis(redis);
		}
	}

	/** Forgets all data. */
	async empty(): Promise<void> {
		await this.client((redis) => redis.flushall());
	}

	/** Takes connections and answers nothing, until `resume`. */
	freeze(): void {
		this.#child?.kill("SIGSTOP");
	}

	resume(): void {
		this.#child?.kill("SIGCONT");
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.kill();
		await rm(this.#directory, { recursive: true, force: true });
	}
}
