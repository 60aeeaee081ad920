import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DAY_MS, type ImageReference, MIB, newId } from "@berth/contracts";
import {
	type BuildTask,
	type DeliveryHandler,
	openBuildQueue,
	openBuildSource,
	openCrashLoopRecords,
	openEventLog,
	openInvocationQueue,
	openInvocationSource,
	openNodeDirectory,
	openNodeMembership,
	openOutbox,
	openProjectSlots,
	openRateLimits,
} from "@berth/queue";
import {
	ApiKeys,
	type ArtifactStore,
	AuditLog,
	CallbackSecrets,
	FUNCTION_RECORDS,
	FunctionRegistry,
	Hooks,
	IdempotencyKeys,
	type KeysKept,
	openArtifactStore,
	PackageRegistries,
	Schedules,
	Secrets,
	type StorageBudgets,
	Vault,
} from "@berth/registry";
import { createLogger, GatewayMetrics, Tracing } from "@berth/telemetry";
import { createApp } from "../app.js";
import { Bodies } from "../body.js";
import { Courier } from "../follow-ups/courier.js";
import { Invocations } from "../invocations.js";
import { Pacing } from "../overload/pacing.js";
import { SelfWatch, type Watch } from "../overload/self-watch.js";
import { createGatewayServer, type ServerOptions } from "../server.js";
import { closeServices, type Services } from "../services.js";
import { GatewaySpans } from "../spans.js";
import { Streams } from "../streams/streams.js";

/** What reads the metrics, also while Redis is away. */
export const METRICS_KEY = "for-prometheus";
const NODE = "node_test";
const NO_BUILD = { durationMs: 0, phases: {}, layers: [], warnings: [] };
const DIGEST = `sha256:${"0".repeat(64)}` as const;
const IMAGE: ImageReference = { digest: DIGEST, base: { digest: DIGEST, layers: [] }, layers: [], entry: "index.mjs" };

/** A gateway as `main` makes it, over real HTTP and Redis; builds and functions are the test's. */
export interface Stack {
	readonly url: string;
	readonly key: string;
	readonly services: Services;
	readonly server: Server;
	readonly directory: string;
	/** A request with the key; `undefined` in `headers` leaves one out. */
	fetch(path: string, init?: RequestInit): Promise<Response>;
	/** What functions do from now on. */
	onInvocation(handler: DeliveryHandler): void;
	/** What builds do from now on; default: they become ready. */
	onBuild(handler: ((task: BuildTask) => Promise<void>) | undefined): void;
	/** Deploys and waits until it is ready. */
	deploy(name: string, manifest?: object): Promise<void>;
	close(): Promise<void>;
}

export type StackOptions = {
	readonly maxInflight?: number;
	readonly bodyBytes?: number;
	readonly budgets?: StorageBudgets;
	readonly hasOneNode?: boolean;
	readonly callbackHosts?: readonly string[];
	readonly trustedProxies?: readonly string[];
	readonly bodyStallMs?: number;
	/** Default: one server is both. */
	readonly fastUrl?: string;
	readonly idempotency?: KeysKept;
	readonly watch?: Watch;
	readonly leaving?: AbortSignal;
} & Partial<ServerOptions>;

export async function startStack(redisUrl: string, options: StackOptions = {}): Promise<Stack> {
	const urls = { durableUrl: redisUrl, fastUrl: options.fastUrl ?? redisUrl };
	const directory = await mkdtemp(join(tmpdir(), "gateway-"));
	const streams = await openStreams(join(directory, "streams.sock"), options.bodyStallMs ?? 30_000);
	const services = await openServices(redisUrl, directory, streams.streams, options);
	const key = await services.keys.ensureFirst();
	if (key === undefined) throw new Error("the Redis isn't empty");
	const worker = await startWorker(urls, services.functions, services.artifacts);
	while (services.nodes.nodes().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
	const { server, serve } = createGatewayServer({ answerStallMs: 30_000, answerBytes: 256 * MIB, onCut: () => undefined, ...options });
	serve(createApp(services, new Invocations(services)));
	const courier = new Courier(services);
	courier.start();
	await once(server.listen(0, "127.0.0.1"), "listening");
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const send = (path: string, init: RequestInit = {}) =>
		fetch(url + path, { ...init, headers: { authorization: `Bearer ${key}`, ...(init.headers as Record<string, string>) } });
	return {
		url,
		key,
		services,
		server,
		directory,
		fetch: send,
		onInvocation: worker.onInvocation,
		onBuild: worker.onBuild,
		deploy: (name, manifest) => deploy(send, name, manifest),
		close: async () => {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
			await streams.close();
			await worker.close();
			await courier.stop();
			await closeServices(services);
			await rm(directory, { recursive: true, force: true });
		},
	};
}

async function openServices(redisUrl: string, directory: string, streams: Streams, options: StackOptions): Promise<Services> {
	const urls = { durableUrl: redisUrl, fastUrl: options.fastUrl ?? redisUrl };
	const gatewayId = newId("gw");
	const vault = new Vault("0".repeat(64));
	const artifacts = await openArtifactStore(directory, options.budgets === undefined ? {} : { budgets: options.budgets });
	const functions = await FunctionRegistry.open(redisUrl);
	const queued = { perFunction: 200_000, perProject: (project: string) => functions.quotas.of(project).queued };
	return {
		functions,
		keys: await ApiKeys.open(redisUrl),
		audit: await AuditLog.open(redisUrl),
		packageRegistries: await PackageRegistries.open(redisUrl, vault),
		secrets: await Secrets.open(redisUrl, vault),
		hooks: await Hooks.open({ url: redisUrl, vault, bodies: artifacts.deliveries, retentionMs: DAY_MS }),
		schedules: await Schedules.open(redisUrl),
		outbox: await openOutbox(urls),
		idempotency: await IdempotencyKeys.open(redisUrl, vault, options.idempotency ?? { ms: DAY_MS, bytes: 64 * MIB }),
		callbackSecrets: await CallbackSecrets.open(redisUrl, vault),
		packageHosts: ["registry.npmjs.org"],
		artifacts,
		invocations: await openInvocationQueue({ ...urls, gatewayId, functionRecords: FUNCTION_RECORDS, queued }),
		builds: await openBuildQueue(urls),
		events: await openEventLog({ ...urls, listens: true }),
		nodes: await openNodeDirectory({ ...urls, gatewayId }),
		slots: await openProjectSlots({ ...urls, gatewayId }),
		crashLoops: await openCrashLoopRecords(urls),
		rates: await openRateLimits({ ...urls, gatewayId }),
		pacing: new Pacing(options.watch ?? new SelfWatch(), () => undefined),
		streams,
		bodies: new Bodies(options.bodyBytes ?? 256 * MIB),
		metrics: new GatewayMetrics(),
		spans: new GatewaySpans(new Tracing({ name: "parentbased_always_on", ratio: 1 })),
		log: createLogger("test", "silent"),
		trustedProxies: options.trustedProxies ?? [],
		metricsKeys: [createHash("sha256").update(METRICS_KEY).digest("hex")],
		permissions: { hostNetwork: false, binds: [], dockerfilesMissing: undefined, callbackHosts: options.callbackHosts ?? [] },
		hasOneNode: options.hasOneNode ?? true,
		sharesImages: false,
		vault,
		leaving: options.leaving ?? new AbortController().signal,
		maxInflight: options.maxInflight ?? 1024,
	};
}

async function deploy(send: Stack["fetch"], name: string, manifest: object = {}): Promise<void> {
	const body = JSON.stringify({ source: "export default () => 1", ...manifest });
	const headers = { "content-type": "application/json" };
	const { status } = await send(`/v1/functions/${name}?wait=true`, { method: "PUT", body, headers });
	if (status !== 201) throw new Error(`the deploy was answered ${status}`);
}

async function openStreams(path: string, bodyStallMs: number) {
	const streams = new Streams(path, bodyStallMs);
	const server = streams.server();
	await once(server.listen(path), "listening");
	const close = () => {
		server.closeAllConnections();
		return new Promise((resolve) => server.close(resolve));
	};
	return { streams, close };
}

async function startWorker(
	urls: { readonly durableUrl: string; readonly fastUrl: string },
	functions: FunctionRegistry,
	artifacts: ArtifactStore,
) {
	let invoke: DeliveryHandler = () => Promise.reject(new Error("no handler was set"));
	let build: ((task: BuildTask) => Promise<void>) | undefined;
	const invocations = await openInvocationSource({ ...urls, nodeId: NODE, incarnation: "1" });
	const { queued, requests } = artifacts;
	await invocations.start((delivery) => invoke(delivery), 256, {
		keep: async (request) => ({ ...request, body: await requests.adoptBody(queued, request.body) }),
		over: ({ body }) => queued.removeBody(body),
	});
	const builds = await openBuildSource(urls);
	await builds.start((task) => (build ?? ready)(task), 4);
	const membership = await openNodeMembership(urls);
	await membership.join({ id: NODE, incarnation: "1", startedAtMs: Date.now() }, async ({ kind }) =>
		kind === "metrics" ? { kind, text: '# HELP berth_x X\n# TYPE berth_x gauge\nberth_x{a="b"} 1\n' } : { kind: "done", affected: 1 },
	);
	const ready = async ({ project, function: name, version }: BuildTask) => {
		const found = await functions.getVersion(project, name, version);
		if (found !== undefined) await functions.endBuild(found, { state: "ready", image: IMAGE, build: NO_BUILD });
	};
	return {
		onInvocation: (handler: DeliveryHandler) => {
			invoke = handler;
		},
		onBuild: (handler: typeof build) => {
			build = handler;
		},
		close: async () => {
			await Promise.all([invocations.close(), builds.close(), membership.leave()]);
		},
	};
}
