import type { BuildQueue, CrashLoopRecords, EventLog, GatewayQueue, NodeDirectory, Outbox, ProjectSlots, RateLimits } from "@berth/queue";
import type {
	ApiKeys,
	ArtifactStore,
	AuditLog,
	CallbackSecrets,
	FunctionRegistry,
	Hooks,
	IdempotencyKeys,
	PackageRegistries,
	Schedules,
	Secrets,
	Vault,
} from "@berth/registry";
import type { GatewayMetrics, Logger } from "@berth/telemetry";
import type { Bodies } from "./body.js";
import type { Pacing } from "./overload/pacing.js";
import type { Permissions } from "./permitted.js";
import type { GatewaySpans } from "./spans.js";
import type { Streams } from "./streams/streams.js";

/** Everything the gateway needs: `main` makes it, the routes use it. */
export interface Services {
	readonly functions: FunctionRegistry;
	readonly keys: ApiKeys;
	readonly audit: AuditLog;
	readonly artifacts: ArtifactStore;
	readonly hooks: Hooks;
	readonly schedules: Schedules;
	/** What follows settlements. */
	readonly outbox: Outbox;
	readonly idempotency: IdempotencyKeys;
	readonly callbackSecrets: CallbackSecrets;
	readonly packageRegistries: PackageRegistries;
	readonly secrets: Secrets;
	/** Hosts of the package registries that projects may use. */
	readonly packageHosts: readonly string[];
	readonly invocations: GatewayQueue;
	readonly builds: BuildQueue;
	readonly nodes: NodeDirectory;
	readonly events: EventLog;
	readonly crashLoops: CrashLoopRecords;
	readonly rates: RateLimits;
	readonly slots: ProjectSlots;
	readonly pacing: Pacing;
	readonly bodies: Bodies;
	readonly streams: Streams;
	readonly metrics: GatewayMetrics;
	readonly spans: GatewaySpans;
	readonly log: Logger;
	readonly permissions: Permissions;
	/** SHA-256 of keys that metrics are read with, beside the operator's in the durable Redis. */
	readonly metricsKeys: readonly string[];
	/** Networks of proxies whose `X-Forwarded-For` is believed. */
	readonly trustedProxies: readonly string[];
	/** Whether the durable Redis is this data directory's own: then every node that there ever was is this one. */
	readonly hasOneNode: boolean;
	/** Whether images of all versions are where every machine gets them. */
	readonly sharesImages: boolean;
	readonly vault: Vault;
	/** Aborted when this gateway is about to end, which those who send it requests are to hear while it serves yet. */
	readonly leaving: AbortSignal;
	/** Invocations that may be waited for at the same time. */
	readonly maxInflight: number;
}

/** Closes what of it has connections. */
export async function closeServices(services: Services): Promise<void> {
	services.pacing.close();
	const {
		functions,
		keys,
		audit,
		hooks,
		schedules,
		packageRegistries,
		secrets,
		callbackSecrets,
		idempotency,
		outbox,
		invocations,
		builds,
		nodes,
		events,
		rates,
		slots,
		crashLoops,
	} = services;
	const inRedis = [functions, keys, audit, hooks, schedules, packageRegistries, secrets, callbackSecrets, idempotency, outbox];
	await Promise.all([...inRedis, invocations, builds, nodes, events, rates, slots, crashLoops].map((one) => one.close()));
}
