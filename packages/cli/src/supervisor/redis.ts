import { connect } from "node:net";
import { totalmem } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { programEnvironment, type Settings } from "@berth/config";
import { MIB, MINUTE_MS, SECOND_MS } from "@berth/contracts";
import type { ChildSpec } from "./child.js";

/** One of the two embedded servers. */
export interface EmbeddedRedis {
	readonly name: "redis-durable" | "redis-fast";
	readonly socket: string;
	readonly directory: string;
	readonly appendfsync: "always" | "everysec";
	readonly maxMemoryBytes: number;
}

/** What each may hold at most, and which part of the machine's memory. */
const DURABLE = { bytes: 1024 * MIB, part: 8 };
const FAST = { bytes: 512 * MIB, part: 16 };

/** Loading a large append-only file takes its time; the server says LOADING meanwhile. */
const READY_MS = 5 * MINUTE_MS;
const STOP_MS = 10 * SECOND_MS;
const LOOK_MS = 10;

/** The servers that are ours to run: those that no setting names. */
export function embeddedRedisOf({ embedded, paths }: Settings, memoryBytes = totalmem()): readonly EmbeddedRedis[] {
	const atMost = ({ bytes, part }: typeof DURABLE) => Math.min(bytes, Math.floor(memoryBytes / part));
	const durable: EmbeddedRedis = {
		name: "redis-durable",
		socket: paths.durableSocket,
		directory: paths.durableRedis,
		appendfsync: "always",
		maxMemoryBytes: atMost(DURABLE),
	};
	const fast: EmbeddedRedis = {
		name: "redis-fast",
		socket: paths.fastSocket,
		directory: paths.fastRedis,
		appendfsync: "everysec",
		maxMemoryBytes: atMost(FAST),
	};
	return [...(embedded.durable ? [durable] : []), ...(embedded.fast ? [fast] : [])];
}

/**
 * How to run one: as the service user, on a unix socket alone, never evicting. A Redis doesn't watch its
 * stdin, so the kernel sends it SIGTERM when we end (prctl(2), PR_SET_PDEATHSIG; set after the change of user, which clears it).
 */
export function redisSpec(redis: EmbeddedRedis, settings: Settings): ChildSpec {
	const uid = String(settings.serviceUid);
	const options: Readonly<Record<string, string | readonly string[]>> = {
		port: "0",
		unixsocket: redis.socket,
		unixsocketperm: "700",
		dir: redis.directory,
		appendonly: "yes",
		appendfsync: redis.appendfsync,
		save: "",
		maxmemory: String(redis.maxMemoryBytes),
		"maxmemory-policy": "noeviction",
		// A backup is the only replica: it needs no company that might come (the default waits 5 s for it).
		"repl-diskless-sync-delay": "0",
		"client-output-buffer-limit": ["pubsub", ...pubsubBounds(redis)],
		daemonize: "no",
		logfile: "",
	};
	return {
		name: redis.name,
		command: "setpriv",
		args: [
			...[
				"--reuid",
				uid,
				"--regid",
				uid,
				"--clear-groups",
				"--no-new-privs",
				"--bounding-set",
				"-all",
				"--inh-caps",
				"-all",
				"--pdeathsig",
				"TERM",
				"--",
				"redis-server",
			],
			...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value].flat()),
		],
		env: programEnvironment(),
		readiness: (signal) => untilPong(redis.socket, signal),
		readyTimeoutMs: READY_MS,
		stopGraceMs: STOP_MS,
		logs: settings.paths.logs,
	};
}

/**
 * What replies may pile up for a gateway that doesn't read: half of the memory, or a quarter for a minute. Redis's own 32 MiB are
 * the replies of a moment, each with its body and headers, and whoever is beyond is cut off from all of its replies.
 */
function pubsubBounds({ maxMemoryBytes }: EmbeddedRedis): readonly string[] {
	return [String(Math.floor(maxMemoryBytes / 2)), String(Math.floor(maxMemoryBytes / 4)), "60"];
}

/** Resolves when the server on the socket answers PING; it has no event of its own for that. */
async function untilPong(socket: string, signal: AbortSignal): Promise<void> {
	while (!(await answersPing(socket))) await pause(LOOK_MS, undefined, { signal });
}

/** Whether a Redis server takes commands on this socket. */
export function answersPing(socket: string): Promise<boolean> {
	return new Promise((resolve) => {
		const connection = connect(socket);
		connection.setTimeout(SECOND_MS, () => connection.destroy());
		connection.once("connect", () => connection.write("PING\r\n"));
		connection.once("data", (reply) => {
			resolve(reply.toString().startsWith("+PONG"));
			connection.destroy();
		});
		// Not there yet, or gone again: both are no answer.
		connection.once("error", () => undefined);
		connection.once("close", () => resolve(false));
	});
}
