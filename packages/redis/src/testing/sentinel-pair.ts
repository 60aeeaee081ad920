import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { closeRedis, openRedis, type Redis } from "../connection.js";
import { RedisServer } from "./redis-server.js";
import { SlowProxy } from "./slow-proxy.js";

const NAME = "berth";
const LOOK_MS = 100;

/** How a pair is started. */
export interface SentinelPairOptions {
	/** After so long without a word from the master, milliseconds, the Sentinel makes the replica the master. Default: a second. */
	readonly downAfterMs?: number;
	/** More of both servers' command lines. */
	readonly options?: readonly string[];
}

/** A server, a replica of it, and a Sentinel; whoever asks the Sentinel is led to the proxy before a server. */
export class SentinelPair implements AsyncDisposable {
	readonly url: string;
	readonly first: RedisServer;
	readonly second: RedisServer;
	/** Before the first and the second. */
	readonly proxies: readonly [SlowProxy, SlowProxy];
	readonly #port: number;
	readonly #sentinel: ChildProcess;
	readonly #directory: string;

	private constructor(
		{ first, second, proxies }: Pick<SentinelPair, "first" | "second" | "proxies">,
		sentinel: ChildProcess,
		port: number,
		directory: string,
	) {
		this.first = first;
		this.second = second;
		this.proxies = proxies;
		this.#sentinel = sentinel;
		this.#port = port;
		this.#directory = directory;
		this.url = `redis+sentinel://127.0.0.1:${port}/${NAME}`;
	}

	/** Starts all of it; the Sentinel knows the replica then. */
	static async start({ downAfterMs = 1000, options = [] }: SentinelPairOptions = {}): Promise<SentinelPair> {
		const [one, two, three] = (await freePorts(3)) as [number, number, number];
		const proxies = [await SlowProxy.before(one), await SlowProxy.before(two)] as const;
		const [before, behind] = proxies;
		const announced = (port: number) => ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", String(port)];
		const more = ["--repl-diskless-sync-delay", "0", ...options];
		const first = await RedisServer.start("--port", String(one), ...announced(before.port), ...more);
		const following = ["--replicaof", "127.0.0.1", String(before.port)];
		const second = await RedisServer.start("--port", String(two), ...announced(behind.port), ...following, ...more);
		// A Sentinel that finds no replica, or one that doesn't follow yet, looks again in 10 s.
		await first.client(async (redis) => {
			while (!(await redis.info("replication")).includes("state=online")) await pause(LOOK_MS / 4);
		});
		const directory = await mkdtemp(join(tmpdir(), "sentinel-"));
		const lines = [
			`port ${three}`,
			"bind 127.0.0.1",
			`sentinel monitor ${NAME} 127.0.0.1 ${before.port} 1`,
			`sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
			`sentinel failover-timeout ${NAME} 3000`,
		];
		// The Sentinel keeps what it knows in this file.
		await writeFile(join(directory, "sentinel.conf"), lines.join("\n"));
		const command = ["--pdeathsig", "KILL", "--", "redis-server", join(directory, "sentinel.conf"), "--sentinel"];
		const sentinel = spawn("setpriv", command, { stdio: "ignore", cwd: directory });
		const pair = new SentinelPair({ first, second, proxies }, sentinel, three, directory);
		await pair.#asking(async (redis) => {
			while (!(await isFollowed(redis))) await pause(LOOK_MS);
		});
		return pair;
	}

	/** The master ends as in a crash and stays away; resolves when the Sentinel leads to the replica, which it does within some seconds. */
	async failOver(): Promise<void> {
		await this.#asking(async (sentinel) => {
			await sentinel.call("SENTINEL", "SET", NAME, "down-after-milliseconds", "500");
			await this.first.kill();
			const isSecond = async () => ((await sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)) as string[])[1];
			while ((await isSecond()) !== String(this.proxies[1].port)) await pause(LOOK_MS);
		});
	}

	async #asking(work: (sentinel: Redis) => Promise<void>): Promise<void> {
		const [sentinel] = await openRedis([{ url: `redis://127.0.0.1:${this.#port}`, use: "patient", name: "sentinel" }]);
		try {
			await work(sentinel);
		} finally {
			await closeRedis(sentinel);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const exited = once(this.#sentinel, "exit");
		this.#sentinel.kill("SIGKILL");
		await exited;
		await Promise.all([this.first, this.second, ...this.proxies].map((each) => each[Symbol.asyncDispose]()));
		await rm(this.#directory, { recursive: true, force: true });
	}
}

/** Whether the Sentinel sees a replica that is linked to its master. */
async function isFollowed(sentinel: Redis): Promise<boolean> {
	const replicas = (await sentinel.call("SENTINEL", "REPLICAS", NAME)) as string[][];
	return replicas.some((fields) => fields[fields.indexOf("master-link-status") + 1] === "ok");
}

async function freePorts(count: number): Promise<number[]> {
	const servers = await Promise.all(
		Array.from({ length: count }, async () => {
			const server = createServer().listen(0, "127.0.0.1");
			await once(server, "listening");
			return server;
		}),
	);
	const ports = servers.map((server) => (server.address() as AddressInfo).port);
	await Promise.all(servers.map((server) => once(server.close(), "close")));
	return ports;
}
