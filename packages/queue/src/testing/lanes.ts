import type { InvocationRequest } from "@berth/contracts";
import { newId, type Outcome, type RetryPolicy, type Settlement } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import type { CrashLoopOf, LackOf } from "../bullmq/background-attempts.js";
import type { LimitsOf } from "../bullmq/lane-limits.js";
import type { GatewayQueue } from "../invocation-queue.js";
import type { WorkerSource } from "../invocation-source.js";
import { openInvocationQueue, openInvocationSource } from "../open.js";
import type { DeliveryHandler, SettlementKeeper } from "../ports.js";

export const NODE = "node_test";
/** What the keys begin with of functions that are on record. */
export const FUNCTION_RECORDS = "records:";
const AT_ONCE = 50;

/** A server of a test file's own, and gateways and workers on it that go with each test. */
export class Lanes {
	readonly server: RedisServer;
	readonly #opened: { close(): Promise<void> }[] = [];

	private constructor(server: RedisServer) {
		this.server = server;
	}

	static async start(): Promise<Lanes> {
		return new Lanes(await RedisServer.start());
	}

	/** @param retry what requests are given that say nothing of it, as a version's manifest would */
	async gateway(retry?: RetryPolicy): Promise<GatewayQueue> {
		const gateway = this.#keep(await openInvocationQueue({ ...this.#urls, gatewayId: newId("gw"), functionRecords: FUNCTION_RECORDS }));
		if (retry === undefined) return gateway;
		const enqueue = gateway.enqueue.bind(gateway);
		return Object.assign(gateway, {
			enqueue: (request: InvocationRequest, inDoubt?: "take back" | "leave") => enqueue({ retry, ...request }, inDoubt),
		});
	}

	/** A worker of NODE that has begun to take deliveries. */
	async worker(
		handler: DeliveryHandler,
		concurrency = 64,
		settlements?: SettlementKeeper,
		incarnation = "1",
		limitsOf: LimitsOf = async () => undefined,
		bounds: {
			readonly memoryMiB?: number;
			readonly projectConcurrency?: (project: string) => number | undefined;
			readonly lackOf?: LackOf;
			readonly crashLoopOf?: CrashLoopOf;
		} = {},
	): Promise<WorkerSource> {
		const source = this.#keep(await openInvocationSource({ ...this.#urls, nodeId: NODE, incarnation, limitsOf, ...bounds }));
		await source.start(handler, concurrency, settlements);
		return source;
	}

	/** Closes what a test opened; the server runs on, empty. */
	async clear(): Promise<void> {
		this.server.resume();
		if (!this.server.running) await this.server.start();
		await Promise.all(this.#opened.splice(0).map((one) => one.close()));
		await this.server.empty();
	}

	async stop(): Promise<void> {
		await this.server[Symbol.asyncDispose]();
	}

	get #urls() {
		return { durableUrl: this.server.url, fastUrl: this.server.url };
	}

	#keep<T extends { close(): Promise<void> }>(opened: T): T {
		this.#opened.push(opened);
		return opened;
	}
}

/** An invocation of a function that echoes. */
export function requestOf(text = "", more: Partial<InvocationRequest> = {}): InvocationRequest {
	return {
		id: newId("inv"),
		project: "default",
		function: "echo",
		version: 1,
		trigger: { kind: "event" },
		body: { text },
		acceptedAtMs: Date.now(),
		timeoutMs: 30_000,
		...more,
	};
}

/** Has all of these accepted, some at a time: each has half a second to get to Redis, which hundreds at once use up on a machine that is busy. */
export async function enqueueAll(gateway: GatewayQueue, requests: readonly InvocationRequest[]): Promise<void> {
	for (let at = 0; at < requests.length; at += AT_ONCE)
		await Promise.all(requests.slice(at, at + AT_ONCE).map((request) => gateway.enqueue(request)));
}

/** How a worker settles an attempt. */
export function settlementOf(outcome: Outcome, attempt = 1, text?: string): Settlement {
	return {
		attempt: {
			attempt,
			outcome,
			phases: { queueMs: 0, startMs: 0, initMs: 0, runMs: 1 },
			limitsHit: [],
			...(outcome === "succeeded" ? {} : { code: outcome }),
			node: NODE,
			finishedAtMs: Date.now(),
		},
		...(text === undefined ? {} : { result: { body: { text } } }),
	};
}

/** Answers with what it got. */
export const echo: DeliveryHandler = async ({ request, attempt }) =>
	settlementOf("succeeded", attempt, "text" in request.body ? request.body.text : "");
