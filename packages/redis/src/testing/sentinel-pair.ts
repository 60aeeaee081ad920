import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { closeRedis, openRedis, type Redis } from "../connection.js";
import { RedisServer } from "./redis-server.js";

const NAME = "berth";
const LOOK_MS = 100;

/** A server, a replica of it, and a Sentinel that makes the replica the master once the server has said nothing for a second. */
export class SentinelPair implements AsyncDisposable {
	readonly url: string;
	readonly first: RedisServer;
	readonly second: RedisServer;
	readonly #sentinel: ChildProcess;
	readonly #directory: string;

	private constructor(first: RedisServer, second: RedisServer, sentinel: ChildProcess, port: number, directory: string) {
		this.first = first;
		this.second = second;
		this.#sentinel = sentinel;
		this.#directory = directory;
		this.url = `redis+sentinel://127.0.0.1:${port}/${NAME}`;
	}

	/** Starts all three; the Sentinel knows the replica then. */
	static async start(): Promise<SentinelPair> {
		const [one, two, three] = (await freePorts(3)) as [number, number, number];
		const first = await RedisServer.start("--port", String(one), "--repl-diskless-sync-delay", "0");
		const second = await RedisServer.start(
			"--port",
			String(two),
			"--repl-diskless-sync-delay",
			"0",
			"--replicaof",
			"127.0.0.1",
			String(one),
		);
		const directory = await mkdtemp(join(tmpdir(), "sentinel-"));
		const lines = [
			`port ${three}`,
			"bind 127.0.0.1",
			`sentinel monitor ${NAME} 127.0.0.1 ${one} 1`,
			`sentinel down-after-milliseconds ${NAME} 1000`,
			`sentinel failover-timeout ${NAME} 3000`,
		];
		// The Sentinel keeps what it knows in this file.
		await writeFile(join(directory, "sentinel.conf"), lines.join("\n"));
		const command = ["--pdeathsig", "KILL", "--", "redis-server", join(directory, "sentinel.conf"), "--sentinel"];
		const pair = new SentinelPair(first, second, spawn("setpriv", command, { stdio: "ignore", cwd: directory }), three, directory);
		await pair.#knowsReplica(three);
		return pair;
	}

	async #knowsReplica(port: number): Promise<void> {
		const [sentinel] = await openRedis([{ url: `redis://127.0.0.1:${port}`, use: "command", name: "sentinel" }]);
		try {
			while (!(await isFollowed(sentinel))) await pause(LOOK_MS);
		} finally {
			await closeRedis(sentinel);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const exited = once(this.#sentinel, "exit");
		this.#sentinel.kill("SIGKILL");
		await exited;
		await Promise.all([this.first[Symbol.asyncDispose](), this.second[Symbol.asyncDispose]()]);
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
