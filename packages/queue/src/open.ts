import type { Redis } from "ioredis";
import type { RetryPolicy } from "./bullmq/background-policy.js";
import { BackgroundQueue } from "./bullmq/background-queue.js";
import { BackgroundSource } from "./bullmq/background-source.js";
import { BuildJobs, Builds } from "./bullmq/builds.js";
import { InteractiveQueue } from "./bullmq/interactive-queue.js";
import { InteractiveSource } from "./bullmq/interactive-source.js";
import { closeRedis, connectRedis, untilReady } from "./connections.js";
import type { RecordBudget } from "./interactive-records.js";
import { type GatewayQueue, RedisInvocationQueue } from "./invocation-queue.js";
import { RedisInvocationSource, type WorkerSource } from "./invocation-source.js";
import { type QueueLogger, SILENT } from "./logger.js";
import { type NodeGone, RedisNodeDirectory } from "./node-directory.js";
import { RedisNodeMembership } from "./node-membership.js";
import type { BuildQueue, BuildSource, NodeDirectory, NodeMembership } from "./ports.js";

/** Where the two Redis servers are; both URLs may name the same one. */
export interface RedisUrls {
	readonly durableUrl: string;
	readonly fastUrl: string;
}
interface Logged {
	/** Default: silence. */
	readonly logger?: QueueLogger;
}

/** A start goes on without Redis after this; what needs it fails fast or waits, by its use. */
const FIRST_WAIT_MS = 3000;

async function connected(...connections: readonly Redis[]): Promise<void> {
	await Promise.all(connections.map((redis) => untilReady(redis, FIRST_WAIT_MS)));
}

/** Both lanes for a gateway. @param options.retry how background invocations are tried again */
export async function openInvocationQueue(
	options: RedisUrls & Logged & { readonly gatewayId: string; readonly retry?: RetryPolicy },
): Promise<GatewayQueue> {
	const log = options.logger ?? SILENT;
	const fast = connectRedis(options.fastUrl, "gateway", "queue-fast", log);
	const subscriber = connectRedis(options.fastUrl, "subscriber", "queue-replies", log);
	const durable = connectRedis(options.durableUrl, "gateway", "queue-durable", log);
	const interactive = new InteractiveQueue({ redis: fast, subscriber, gatewayId: options.gatewayId, log });
	const background = new BackgroundQueue(durable, log, options.retry);
	const owned = [fast, subscriber, durable];
	await connected(...owned);
	return new RedisInvocationQueue({ interactive, background, builds: new Builds(durable, log), fast, durable, owned });
}

/** Both lanes for a worker. @param options.recordBudget how many records of the interactive lane are kept */
export async function openInvocationSource(
	options: RedisUrls & Logged & { readonly nodeId: string; readonly recordBudget?: RecordBudget },
): Promise<WorkerSource> {
	const log = options.logger ?? SILENT;
	const { nodeId, recordBudget } = options;
	const fast = connectRedis(options.fastUrl, "worker", "source-fast", log);
	const durable = connectRedis(options.durableUrl, "worker", "source-durable", log);
	await connected(fast, durable);
	const interactive = new InteractiveSource({ redis: fast, nodeId, log, ...(recordBudget === undefined ? {} : { budget: recordBudget }) });
	return new RedisInvocationSource(interactive, new BackgroundSource({ redis: durable, nodeId, log }), [fast, durable]);
}

/** Builds, for a gateway. */
export async function openBuildQueue(options: Pick<RedisUrls, "durableUrl"> & Logged): Promise<BuildQueue> {
	const log = options.logger ?? SILENT;
	const redis = connectRedis(options.durableUrl, "gateway", "builds", log);
	const builds = new Builds(redis, log);
	await connected(redis);
	return { add: (task) => builds.add(task), close: () => closeRedis(redis) };
}

/** Builds, for a worker. */
export async function openBuildSource(options: Pick<RedisUrls, "durableUrl"> & Logged): Promise<BuildSource> {
	const log = options.logger ?? SILENT;
	const redis = connectRedis(options.durableUrl, "worker", "build-source", log);
	const jobs = new BuildJobs(redis, log);
	await connected(redis);
	return {
		start: (handler, concurrency) => jobs.start(handler, concurrency),
		close: async () => {
			await jobs.close();
			await closeRedis(redis);
		},
	};
}

/** The nodes, for a gateway. @param options.onGone told about each node that is listed no more */
export async function openNodeDirectory(
	options: Pick<RedisUrls, "fastUrl"> & Logged & { readonly gatewayId: string; readonly onGone?: NodeGone },
): Promise<NodeDirectory> {
	const log = options.logger ?? SILENT;
	const redis = connectRedis(options.fastUrl, "gateway", "directory", log);
	const subscriber = connectRedis(options.fastUrl, "subscriber", "directory-news", log);
	const directory = new RedisNodeDirectory(redis, subscriber, options.gatewayId, log, options.onGone);
	await connected(redis, subscriber);
	await directory.open();
	return directory;
}

/** A worker's own place among the nodes; `leave` closes it. */
export async function openNodeMembership(options: Pick<RedisUrls, "fastUrl"> & Logged): Promise<NodeMembership> {
	const log = options.logger ?? SILENT;
	const redis = connectRedis(options.fastUrl, "worker", "membership", log);
	const subscriber = connectRedis(options.fastUrl, "subscriber", "membership-questions", log);
	await connected(redis, subscriber);
	return new RedisNodeMembership(redis, subscriber, log);
}
