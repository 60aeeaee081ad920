import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import type { IncomingMessage, Server } from "node:http";
import type { Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { basename, dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import {
	dockerfilesMissing,
	dropPrivileges,
	exitWithParent,
	listenFds,
	loadSettings,
	readTls,
	type Settings,
	sharedMeansOf,
} from "@berth/config";
import { newId, type SharedMeans } from "@berth/contracts";
import {
	type EventLog,
	type GatewayInfo,
	type NodeChange,
	openBuildQueue,
	openCrashLoopRecords,
	openEventLog,
	openInvocationQueue,
	openNodeDirectory,
	openOutbox,
	openProjectSlots,
	openRateLimits,
} from "@berth/queue";
import {
	ApiKeys,
	AuditLog,
	CallbackSecrets,
	FUNCTION_RECORDS,
	FunctionRegistry,
	Hooks,
	IdempotencyKeys,
	openArtifactStore,
	PackageRegistries,
	Schedules,
	Secrets,
	stackIdOf,
	Vault,
} from "@berth/registry";
import { createLogger, GatewayMetrics, type Logger, type OpenTracing, openTracing, type Tracing } from "@berth/telemetry";
import { createApp } from "./app.js";
import { Bodies } from "./body.js";
import { Courier } from "./follow-ups/courier.js";
import { createInternalApp } from "./internal.js";
import { Invocations } from "./invocations.js";
import { createJoinedApp } from "./joined.js";
import { Pacing } from "./overload/pacing.js";
import { SelfWatch } from "./overload/self-watch.js";
import { ScheduleDispatcher } from "./schedules/dispatcher.js";
import { type Cut, createGatewayServer, type GatewayServer } from "./server.js";
import { closeServices, type Services } from "./services.js";
import { GatewaySpans } from "./spans.js";
import { Streams } from "./streams/streams.js";
import { expiryOf, followTls } from "./tls.js";
import { Upkeep } from "./upkeep.js";

/** How long a stop waits for what is in flight, milliseconds. What isn't answered then is told so, within a second more. */
const GRACE_MS = 10_000;
/** The same for one in whose place another one serves already: nobody waits for its end. */
const RETIRE_MS = 60_000;

/** What says of a node that its worker is gone. */
const WENT: ReadonlySet<NodeChange["reason"]> = new Set(["abandoned", "restarted"]);

/** Of workers: how fast functions read and write is theirs to say, and looked at where their clients are. */
const FOR_WORKERS = {
	answerStallMs: Number.MAX_SAFE_INTEGER,
	answerBytes: Number.MAX_SAFE_INTEGER,
	mayTakeTime: () => true,
	onCut: () => undefined,
};

/** This machine's own addresses. */
const LOOPBACK = ["127.0.0.0/8", "::1"];

/** Starts a gateway, says on stdout that it is ready (and the first key, the once), and runs until it is told to stop. */
async function main(): Promise<void> {
	const settings = loadSettings();
	const log = createLogger("gateway", settings.logLevel);
	const metrics = new GatewayMetrics();
	const streamSocket = join(settings.paths.streamSockets, `${process.pid}.sock`);
	const exchange = new Streams(streamSocket, settings.bodyStallMs);
	const options = {
		mayTakeTime: (request: IncomingMessage) => exchange.allows(request),
		answerStallMs: settings.answerStallMs,
		answerBytes: settings.bodyMemoryBytes,
		onCut: (cut: Cut) => {
			metrics.cut(cut.answers);
			log.warn(cut, "answers that their clients didn't take were cut off");
		},
	};
	const { maxConnections, trustedProxies } = settings;
	// The key may be root's alone.
	const tls = settings.tls && readTls(settings.tls);
	const gateway = createGatewayServer({
		...options,
		...(tls && { tls }),
		connections: { ...maxConnections, trusted: [...LOOPBACK, ...trustedProxies] },
	});
	/** For what functions on a network ask of each other. */
	const joined = createGatewayServer(options);
	const { server } = gateway;
	const internal = settings.internal && createGatewayServer(FOR_WORKERS);
	const address = internal && (await listenInternally(internal.server, settings));
	if (address !== undefined) exchange.movesTo(`http://${address}`);
	const fds = listenFds();
	// A port below 1024 is only root's to open. On a socket that was opened for us it listens when it can serve: who comes until then waits, or is another gateway's.
	if (fds.length === 0) await listen(server, settings);
	dropPrivileges(settings.serviceUid);
	if (settings.tls && tls) {
		const expires = (atMs: number) => metrics.certificateExpires(atMs);
		expires(expiryOf(tls.cert));
		followTls(settings.tls, server as unknown as TlsServer, log, expires);
	}
	const gatewayId = newId("gw");
	const traces = openTracing(settings.tracing, gatewayId, metrics.registry, log);
	const events = await openEventLog({ fastUrl: settings.fastRedisUrl, listens: true, logger: log });
	const leaving = new AbortController();
	const services = await open(settings, {
		...{ log, metrics, gatewayId, events, tracing: traces.tracing, streams: exchange, address },
		leaving: leaving.signal,
	});
	const { keys } = services;
	const firstKey = settings.adminKeySha256 === undefined ? await keys.ensureFirst() : await keys.ensureAdmin(settings.adminKeySha256);
	const invocations = new Invocations(services);
	gateway.serve(createApp(services, invocations));
	const joinedApp = createJoinedApp(invocations, services);
	joined.serve(joinedApp);
	internal?.serve(createInternalApp(exchange, joinedApp, services.vault));
	await listenPrivately(joined.server, settings.paths.gatewaySocket);
	removeOldSockets(settings.paths.streamSockets);
	await listenPrivately(exchange.server(), streamSocket);
	const upkeep = new Upkeep(services);
	upkeep.start();
	const dispatcher = new ScheduleDispatcher(services);
	dispatcher.start();
	const courier = new Courier(services);
	courier.start();
	const drained = () => drain(gateway, leaving, settings.gatewayDrainMs);
	stopOnDemand([gateway, joined, ...(internal ? [internal] : [])], drained, services, [upkeep, courier, dispatcher], traces);
	if (fds.length > 0) await gateway.listen(fds);
	const { port } = server.address() as AddressInfo;
	process.stdout.write(`${JSON.stringify({ ready: true, port, ...(firstKey === undefined ? {} : { firstKey }) })}\n`);
}

interface Means {
	readonly log: Logger;
	readonly metrics: GatewayMetrics;
	readonly gatewayId: string;
	readonly events: EventLog;
	readonly tracing: Tracing;
	readonly streams: Streams;
	/** Where workers of other machines reach it. */
	readonly address: string | undefined;
	readonly leaving: AbortSignal;
}

async function open(settings: Settings, { log, metrics, gatewayId, events, tracing, streams, address, leaving }: Means): Promise<Services> {
	const { durableRedisUrl: durableUrl, fastRedisUrl: fastUrl, npmRegistry, pypiIndex, packageRegistries, pypiIndexes } = settings;
	const packageUrls = [npmRegistry, pypiIndex, ...packageRegistries, ...pypiIndexes];
	const functions = await FunctionRegistry.open(durableUrl, log, settings.quotas);
	await functions.countAnew();
	const invocations = await openInvocationQueue({
		...{ durableUrl, fastUrl, gatewayId, functionRecords: FUNCTION_RECORDS, retention: settings, logger: log },
		queued: { perFunction: settings.maxQueued, perProject: (project) => functions.quotas.of(project).queued },
		onQueueFull: (reason) => metrics.refused("background", reason),
	});
	const lookAfter = (node: string, change: NodeChange) => {
		if (WENT.has(change.reason)) tellLost(events, node, change);
		return invocations
			.lookAfter(node, change)
			.catch((err: unknown) => log.error({ err, node, ...change }, "what is on a node that changed couldn't be looked after"));
	};
	const vault = await Vault.open(settings.secretsKey, settings.paths.secretsKey);
	const artifacts = await openArtifactStore(settings.paths.artifacts, {
		budgets: settings.storage,
		...(settings.payloadStore && { bucket: settings.payloadStore }),
		hasPeers: settings.hasPeers,
		onTrouble: (err) => log.error({ err }, "what a payload store holds couldn't be counted, or made less"),
	});
	return {
		functions,
		keys: await ApiKeys.open(durableUrl, log),
		audit: await AuditLog.open(durableUrl, log),
		packageRegistries: await PackageRegistries.open(durableUrl, vault, log),
		secrets: await Secrets.open(durableUrl, vault, log),
		hooks: await Hooks.open({ url: durableUrl, vault, bodies: artifacts.deliveries, retentionMs: settings.hookEventsMs, log }),
		schedules: await Schedules.open(durableUrl, log),
		outbox: await openOutbox({ durableUrl, logger: log }),
		idempotency: await IdempotencyKeys.open(durableUrl, vault, settings.idempotency, log),
		callbackSecrets: await CallbackSecrets.open(durableUrl, vault, log),
		packageHosts: [...new Set(packageUrls.map((url) => new URL(url).host))],
		artifacts,
		invocations,
		builds: await openBuildQueue({ durableUrl, logger: log }),
		nodes: await openNodeDirectory({
			fastUrl,
			gatewayId,
			self: listedAs(gatewayId, address, sharedMeansOf(settings, await stackIdOf(durableUrl), vault.keyIds)),
			logger: log,
			onChange: (node, change) => void lookAfter(node, change),
		}),
		vault,
		events,
		slots: await openProjectSlots({ fastUrl, gatewayId, logger: log }),
		crashLoops: await openCrashLoopRecords({ fastUrl, logger: log }),
		rates: await openRateLimits({ fastUrl, gatewayId, logger: log }),
		pacing: new Pacing(new SelfWatch(), (paced) => metrics.paced(paced)),
		bodies: new Bodies(settings.bodyMemoryBytes),
		streams,
		metrics,
		spans: new GatewaySpans(tracing),
		log,
		trustedProxies: settings.trustedProxies,
		metricsKeys: [settings.metricsKeySha256, settings.adminKeySha256].filter((key) => key !== undefined),
		permissions: {
			hostNetwork: settings.allowsHostNetwork,
			binds: Object.keys(settings.binds),
			dockerfilesMissing: dockerfilesMissing(settings),
			callbackHosts: settings.callbackHosts,
		},
		...{ hasOneNode: settings.embedded.durable, sharesImages: settings.hasPeers },
		...{ leaving, maxInflight: settings.maxInflight },
	};
}

/** Each gateway sees it, and so may the node itself: it is told once. */
function tellLost(events: EventLog, node: string, { incarnation, host }: NodeChange): void {
	events.record(undefined, { kind: "node", what: "lost", node, ...(host === undefined ? {} : { host }) }, `gone:${incarnation}`);
}

function listedAs(id: string, address: string | undefined, shares: SharedMeans): GatewayInfo {
	return { id, startedAtMs: Date.now(), shares, ...(address === undefined ? {} : { address }) };
}

/** For workers of other machines. @returns where they reach it, `host:port` */
async function listenInternally(server: Server, { internal }: Settings): Promise<string> {
	const { host = "", port = 0 } = internal ?? {};
	const refused = (error: Error) => Promise.reject(new Error(`BERTH_INTERNAL_HOST and BERTH_INTERNAL_PORT: ${error.message}`));
	// The gateway whose place it takes has the one port until its streams are over.
	const next = (error: NodeJS.ErrnoException) =>
		error.code === "EADDRINUSE" ? once(server.listen(port + 1, host), "listening") : Promise.reject(error);
	await once(server.listen(port, host), "listening").catch(next).catch(refused);
	const at = server.address() as AddressInfo;
	return `${host.includes(":") ? `[${host}]` : host}:${at.port}`;
}

async function listen(server: Server, { host, port }: Settings): Promise<void> {
	await new Promise<void>((resolve, reject) => {
		const refused = (error: NodeJS.ErrnoException) =>
			reject(error.code === "EADDRINUSE" ? new Error(`something else listens on ${host}:${port}; set BERTH_PORT to another port`) : error);
		server.once("error", refused);
		server.listen(port, host, () => {
			server.off("error", refused);
			resolve();
		});
	});
}

/** On a socket that nobody but our own user may open. From one moment to the next it is ours, and not that of a gateway before us, which goes on with who has come to it. */
async function listenPrivately(server: Server, path: string): Promise<void> {
	// A gateway alone, in a container or as a service of its own user, has no supervisor that makes its directories.
	mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
	// Node removes this name when the server ends, and not the next gateway's.
	const ours = `${path}.${process.pid}`;
	rmSync(ours, { force: true });
	await once(server.listen(ours), "listening");
	chmodSync(ours, 0o600);
	renameSync(ours, path);
}

/** Of gateways that were killed. */
function removeOldSockets(directory: string): void {
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	for (const name of readdirSync(directory)) if (!existsSync(join("/proc", basename(name, ".sock")))) rmSync(join(directory, name));
}

/** Serves on for a while, and says at `/readyz` and with each answer that it goes, so that what stands in front has gone elsewhere when it takes nothing more. */
async function drain(gateway: GatewayServer, leaving: AbortController, drainMs: number): Promise<void> {
	leaving.abort();
	if (drainMs === 0) return;
	gateway.drain();
	await wait(drainMs);
}

/** Takes nothing more, lets what is in flight end, and exits. */
function stopOnDemand(
	servers: readonly GatewayServer[],
	drained: () => Promise<void>,
	services: Services,
	ongoing: readonly { stop(): Promise<void> }[],
	traces: OpenTracing,
): void {
	let stopping = false;
	const stop = async (how: "drained" | "replaced" | "alone") => {
		if (stopping) return;
		stopping = true;
		if (how === "drained") await drained();
		const isReplaced = how === "replaced";
		const giveUp = () => void services.invocations.giveUp();
		await Promise.all(servers.map((server) => (isReplaced ? server.retire(RETIRE_MS, giveUp) : server.close(GRACE_MS, giveUp))));
		await Promise.all(ongoing.map((one) => one.stop()));
		await Promise.all([closeServices(services), traces.close()]);
		process.exit(0);
	};
	process.once("SIGTERM", () => void stop("drained"));
	process.once("SIGINT", () => void stop("drained"));
	process.once("SIGUSR2", () => void stop("replaced"));
	// Without a supervisor it has no time.
	exitWithParent(() => void stop("alone"));
}

try {
	await main();
} catch (error) {
	process.stderr.write(`error: ${(error as Error).message}\n`);
	process.exit(1);
}
