import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "./free-port.js";
import { watchOver } from "./watcher.js";

const READY = "Ready to accept connections";

/** A Redis server that machines reach over TCP, as an operator would run one: nothing is evicted, what is acknowledged is on disk. Whoever started it stops it. */
export class NetRedis implements AsyncDisposable {
	readonly host: string;
	readonly port: number;
	readonly #directory: string;
	readonly #fsync: "always" | "everysec";
	#child: ChildProcess | undefined;

	private constructor(host: string, port: number, directory: string, fsync: "always" | "everysec") {
		this.host = host;
		this.port = port;
		this.#directory = directory;
		this.#fsync = fsync;
	}

	static async start(fsync: "always" | "everysec", host = "127.0.0.1"): Promise<NetRedis> {
		const redis = new NetRedis(host, await freePort(host), await mkdtemp(join(tmpdir(), "net-redis-")), fsync);
		try {
			await redis.resume();
			return redis;
		} catch (error) {
			await redis.stop();
			throw error;
		}
	}

	get url(): string {
		return `redis://${this.host}:${this.port}`;
	}

	/** Starts it again after `halt` or `kill`, with all that it had. */
	async resume(): Promise<void> {
		const where = ["--bind", this.host, "--port", String(this.port), "--dir", this.#directory, "--protected-mode", "no"];
		const files = [
			"--save",
			"",
			"--appendonly",
			"yes",
			"--appendfsync",
			this.#fsync,
			"--maxmemory",
			"256mb",
			"--maxmemory-policy",
			"noeviction",
		];
		const child = spawn("redis-server", [...where, ...files], { stdio: ["ignore", "pipe", "inherit"] });
		this.#child = child;
		await once(child, "spawn");
		watchOver(child, this.#directory);
		for await (const line of createInterface(child.stdout)) {
			if (!line.includes(READY)) continue;
			child.stdout.resume();
			return;
		}
		throw new Error("redis-server ended before it was ready");
	}

	/** It takes commands and answers none. */
	freeze(): void {
		this.#child?.kill("SIGSTOP");
	}

	thaw(): void {
		this.#child?.kill("SIGCONT");
	}

	/** As a crash does. */
	async kill(): Promise<void> {
		await this.#end("SIGKILL");
	}

	/** Ends it, with all on disk. */
	async halt(): Promise<void> {
		await this.#end("SIGTERM");
	}

	async stop(): Promise<void> {
		await this.kill();
		await rm(this.#directory, { recursive: true, force: true });
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.stop();
	}

	async #end(signal: NodeJS.Signals): Promise<void> {
		const child = this.#child;
		if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
		const exited = once(child, "exit");
		child.kill(signal);
		this.thaw();
		await exited;
	}
}
