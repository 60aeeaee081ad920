import type { SharedMeans } from "@berth/contracts";
import { closeRedis, openRedis, type Redis, SILENT, shareTime } from "@berth/redis";
import { BackgroundNews } from "./background-news.js";
import type { Retention } from "./background-records.js";
import type { CrashLoopOf, LackOf } from "./bullmq/background-attempts.js";
import { BackgroundQueue } from "./bullmq/background-queue.js";
import { BackgroundSource } from "./bullmq/background-source.js";
import { BuildJobs, Builds } from "./bullmq/builds.js";
import { InteractiveQueue } from "./bullmq/interactive-queue.js";
import { InteractiveSource } from "./bullmq/interactive-source.js";
import type { LimitsOf } from "./bullmq/lane-limits.js";
import { CrashLoopRecords } from "./crash-loop-records.js";
import { DurableMemory } from "./durable-memory.js";
import { EventLog, type EventPlace } from "./event-log.js";
import { GatewayCancels } from "./gateway-cancels.js";
import { readGateways, requireShared } from "./gateway-leases.js";
import type { RecordBudget } from "./interactive-records.js";
import { type GatewayQueue, RedisInvocationQueue } from "./invocation-queue.js";
import { RedisInvocationSource, type WorkerSource } from "./invocation-source.js";
import type { QueueLogger } from "./logger.js";
import type { NodeClaim } from "./node-claim.js";
import { type NodeChanged, RedisNodeDirectory } from "./node-directory.js";
import { RedisNodeMembership } from "./node-membership.js";
import type { GatewayInfo, NodeDirectory, NodeMembership } from "./node-ports.js";
import { NodeReaper } from "./node-reaper.js";
import { Outbox } from "./outbox.js";
import type { BuildQueue, BuildSource } from "./ports.js";
import { ProjectSlots } from "./project-slots.js";
import { type QueuedLimits, QueuedRoom, type QueueRefusal } from "./queued-room.js";
import { RateLimits } from "./rate-limits.js";
import { claimPair, ServerPair } from "./server-pair.js";

/** Where the two Redis servers are; both URLs may name the same one. */
export interface RedisUrls {
	readonly durableUrl: string;
	readonly fastUrl: string;
}
interface Logged {
	/** Default: silence. */
	readonly logger?: QueueLogger;
}

/** Both lanes for a gateway. @throws Error naming the Redis that can't be reached */
export async function openInvocationQueue(
	options: RedisUrls &
		Logged & {
			readonly gatewayId: string;
			/** What the keys of the durable Redis begin with that say which functions there are; `project/name` follows. */
			readonly functionRecords: string;
			readonly retention?: Retention;
			/** What may be queued in the background, and who is told why something wasn't. */
			readonly queued?: QueuedLimits;
			readonly onQueueFull?: (reason: QueueRefusal) => void;
		},
): Promise<GatewayQueue> {
	const { durableUrl, fastUrl, gatewayId, functionRecords, retention, queued, onQueueFull, logger: log = SILENT } = options;
	const owned = await openRedis([
		{ url: fastUrl, serves: "fast", use: "command", name: "queue-fast", log },
		{ url: fastUrl, serves: "fast", use: "subscriber", name: "queue-replies", log },
		{ url: durableUrl, use: "command", name: "queue-durable", log },
		{ url: durableUrl, use: "subscriber", name: "queue-news", log },
	]);
	const [fast, subscriber, durable, listener] = owned;
	const interactive = new InteractiveQueue({ redis: fast, subscriber, gatewayId, log });
	const cancels = new GatewayCancels({
		redis: fast,
		subscriber,
		gatewayId,
		cancel: (id, project) => interactive.cancel(id, "asked", project),
		log,
	});
	await orClosed(owned, Promise.all([interactive.listening, cancels.listening]));
	const release = await orClosed(owned, goBy(durable, fast, log));
	const background = new BackgroundQueue(durable, log, functionRecords, retention);
	const news = new BackgroundNews(listener, log);
	const memory = new DurableMemory(durable);
	const room = new QueuedRoom(durable, memory, queued, onQueueFull);
	return new RedisInvocationQueue({
		interactive,
		reaper: new NodeReaper({ redis: fast, gatewayId, log }),
		cancels,
		background,
		news,
		room,
		memory,
		retention,
		builds: new Builds(durable, log),
		fast,
		durable,
		owned,
		release,
	});
}

/**
 * Both lanes for a worker. @param options.incarnation as the node is listed: it says who has taken what. @param options.recordBudget how many records of the interactive lane are kept
 * @param options.limitsOf what bounds a function in the background. Default: nothing
 * @param options.lackOf what a background invocation needs that this node doesn't have. Default: nothing
 * @param options.crashLoopOf whether a background invocation's version crashes again and again: how long it is left alone then. Default: none does
 * @param options.memoryMiB what runs in the background may hold of the node's memory together, so that none of them waits for memory for long that others hold. Default: no bound
 * @param options.cores of the machine: background work is taken as these keep up. Default: as slots are free
 * @param options.projectConcurrency how many of a project may be in flight at once, of both lanes on all nodes. Default: no bound
 * @param options.interactiveReserve the part of these that background work leaves to those who wait, 0 to 1. Default: a quarter
 * @throws Error naming the Redis that can't be reached
 */
export async function openInvocationSource(
	options: RedisUrls &
		Logged & {
			readonly nodeId: string;
			readonly incarnation: string;
			readonly recordBudget?: RecordBudget;
			readonly retention?: Retention;
			readonly limitsOf?: LimitsOf;
			readonly lackOf?: LackOf;
			readonly crashLoopOf?: CrashLoopOf;
			readonly cores?: number;
			readonly memoryMiB?: number;
			readonly projectConcurrency?: (project: string) => number | undefined;
			readonly interactiveReserve?: number;
		},
): Promise<WorkerSource> {
	const {
		durableUrl,
		fastUrl,
		nodeId,
		incarnation,
		recordBudget,
		retention,
		limitsOf = async () => undefined,
		lackOf = async () => undefined,
		crashLoopOf = () => undefined,
		cores,
		memoryMiB,
		projectConcurrency = () => undefined,
		interactiveReserve,
		logger: log = SILENT,
	} = options;
	const owned = await openRedis([
		{ url: fastUrl, serves: "fast", use: "patient", name: "source-fast", log },
		{ url: fastUrl, serves: "fast", use: "subscriber", name: "source-cancels", log },
		{ url: durableUrl, use: "patient", name: "source-durable", log },
		{ url: durableUrl, use: "subscriber", name: "source-news", log },
		{ url: fastUrl, serves: "fast", use: "command", name: "project-slots", log },
	]);
	const [fast, subscriber, durable, news, slotsRedis] = owned;
	const release = await orClosed(owned, goBy(durable, fast, log));
	const reserve = interactiveReserve === undefined ? {} : { reserve: interactiveReserve };
	const slots = new ProjectSlots({ redis: slotsRedis, holder: `${nodeId}/${incarnation}`, log, ...reserve });
	const budget = recordBudget === undefined ? {} : { budget: recordBudget };
	const interactive = new InteractiveSource({ redis: fast, subscriber, nodeId, incarnation, log, ...budget });
	const background = {
		redis: durable,
		subscriber: news,
		nodeId,
		limitsOf,
		lackOf,
		crashLoopOf,
		log,
		slots,
		slotNews: subscriber,
		projectConcurrency,
		...(cores === undefined ? {} : { cores }),
		...(memoryMiB === undefined ? {} : { memoryMiB }),
		...(retention === undefined ? {} : { retention }),
	};
	return new RedisInvocationSource({ interactive, background: new BackgroundSource(background), owned, release });
}

/** What follows settlements. @throws Error naming the Redis that can't be reached */
export async function openOutbox(options: Pick<RedisUrls, "durableUrl"> & Logged): Promise<Outbox> {
	const { durableUrl: url, logger: log = SILENT } = options;
	return new Outbox(
		await openRedis([
			{ url, use: "command", name: "outbox", log },
			{ url, use: "subscriber", name: "outbox-news", log },
		]),
	);
}

/** Builds, for a gateway. @throws Error naming the Redis that can't be reached */
export async function openBuildQueue(options: Pick<RedisUrls, "durableUrl"> & Logged): Promise<BuildQueue> {
	const { durableUrl: url, logger: log = SILENT } = options;
	const [redis] = await openRedis([{ url, use: "command", name: "builds", log }]);
	const builds = new Builds(redis, log);
	return { add: (task) => builds.add(task), close: () => closeRedis(redis) };
}

/** Builds, for a worker. @throws Error naming the Redis that can't be reached */
export async function openBuildSource(options: Pick<RedisUrls, "durableUrl"> & Logged): Promise<BuildSource> {
	const { durableUrl: url, logger: log = SILENT } = options;
	const [redis] = await openRedis([{ url, use: "patient", name: "build-source", log }]);
	const jobs = new BuildJobs(redis, log);
	return {
		start: (handler, concurrency) => jobs.start(handler, concurrency),
		rest: () => jobs.rest(),
		resume: () => jobs.resume(),
		running: () => jobs.running(),
		close: async () => {
			await jobs.close();
			await closeRedis(redis);
		},
	};
}

/**
 * The nodes, for a gateway. @param options.onChange told about each node that is gone, restarted or draining
 * @throws Error naming the Redis that can't be reached
 */
export async function openNodeDirectory(
	options: Pick<RedisUrls, "fastUrl"> &
		Logged & { readonly gatewayId: string; readonly self?: GatewayInfo; readonly onChange?: NodeChanged },
): Promise<NodeDirectory> {
	const { fastUrl: url, gatewayId, self, onChange, logger: log = SILENT } = options;
	const [redis, subscriber] = await openRedis([
		{ url, serves: "fast", use: "command", name: "directory", log },
		{ url, serves: "fast", use: "subscriber", name: "directory-news", log },
	]);
	const directory = new RedisNodeDirectory({ redis, subscriber, gatewayId, self, log, onChange });
	try {
		await directory.open();
	} catch (error) {
		await directory.close();
		throw error;
	}
	return directory;
}

/** What happened; whoever opened it closes it. @param options.listens whether anybody reads here @param options.place of a node. @throws Error naming the Redis that can't be reached */
export async function openEventLog(
	options: Pick<RedisUrls, "fastUrl"> & Logged & { readonly listens: boolean; readonly place?: EventPlace },
): Promise<EventLog> {
	const { fastUrl: url, listens, place, logger: log = SILENT } = options;
	const [redis] = await openRedis([{ url, serves: "fast", use: "command", name: "events", log }]);
	const [subscriber] = listens ? await openRedis([{ url, serves: "fast", use: "subscriber", name: "event-news", log }]) : [];
	return new EventLog(redis, subscriber, log, place);
}

/** Versions that crash again and again; whoever opened it closes it. @throws Error naming the Redis that can't be reached */
export async function openCrashLoopRecords(options: Pick<RedisUrls, "fastUrl"> & Logged): Promise<CrashLoopRecords> {
	const { fastUrl: url, logger: log = SILENT } = options;
	const [redis] = await openRedis([{ url, serves: "fast", use: "command", name: "crash-loops", log }]);
	return new CrashLoopRecords(redis, log);
}

/** What projects have in flight at once, for one gateway. @throws Error naming the Redis that can't be reached */
export async function openProjectSlots(
	options: Pick<RedisUrls, "fastUrl"> & Logged & { readonly gatewayId: string },
): Promise<ProjectSlots> {
	const { fastUrl: url, gatewayId: holder, logger: log = SILENT } = options;
	const [redis] = await openRedis([{ url, serves: "fast", use: "command", name: "project-slots", log }]);
	return new ProjectSlots({ redis, holder, log });
}

/** What bounds the requests of projects, for one gateway. @throws Error naming the Redis that can't be reached */
export async function openRateLimits(options: Pick<RedisUrls, "fastUrl"> & Logged & { readonly gatewayId: string }): Promise<RateLimits> {
	const { fastUrl: url, gatewayId, logger: log = SILENT } = options;
	const [redis] = await openRedis([{ url, serves: "fast", use: "command", name: "rate-limits", log }]);
	return new RateLimits({ redis, gatewayId, log });
}

/** Who is there already, for a machine that may join them. @throws Error naming the setting that it has another of, or the Redis that can't be reached */
export async function lookAtStack(options: RedisUrls & Logged & { readonly shares: SharedMeans }): Promise<{ readonly gateways: number }> {
	const { durableUrl, fastUrl, shares, logger: log = SILENT } = options;
	const opened = await openRedis([
		{ url: durableUrl, use: "patient", name: "look-durable", log },
		{ url: fastUrl, serves: "fast", use: "patient", name: "look-fast", log },
	]);
	const [durable, fast] = opened;
	try {
		await requireShared(fast, shares);
		await claimPair({ durable, fast, log });
		return { gateways: (await readGateways(fast)).length };
	} finally {
		await Promise.all(opened.map(closeRedis));
	}
}

/** A worker's own place among the nodes; `leave` closes it. @throws Error naming the Redis that can't be reached */
export async function openNodeMembership(
	options: Pick<RedisUrls, "fastUrl"> & Logged & { readonly claim?: NodeClaim },
): Promise<NodeMembership> {
	const { fastUrl: url, logger: log = SILENT, claim } = options;
	const [redis, subscriber] = await openRedis([
		{ url, serves: "fast", use: "patient", name: "membership", log },
		{ url, serves: "fast", use: "subscriber", name: "membership-questions", log },
	]);
	return new RedisNodeMembership(redis, subscriber, log, claim);
}

/** The time of the durable server, and the lease on which fast one works with it. @returns what ends both. @throws Error when another fast one does */
async function goBy(durable: Redis, fast: Redis, log: QueueLogger): Promise<() => void> {
	const pair = await ServerPair.hold({ durable, fast, log });
	try {
		const stopTime = await shareTime(durable, log);
		return () => {
			stopTime();
			pair.stop();
		};
	} catch (error) {
		pair.stop();
		throw error;
	}
}

/** Whoever can't go on leaves no connection open. */
async function orClosed<T>(connections: readonly Redis[], next: Promise<T>): Promise<T> {
	try {
		return await next;
	} catch (error) {
		await Promise.all(connections.map(closeRedis));
		throw error;
	}
}
