import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Bases, ImageBuilder, StackRemapper } from "@berth/builder";
import { dropPrivileges, exitWithParent, loadSettings, nodeIdOf, sharedMeansOf } from "@berth/config";
import { classesOf, type FunctionError, HOUR_MS, MIB, RELEASE, type Version } from "@berth/contracts";
import { openBuildSource, openCrashLoopRecords, openEventLog, openInvocationSource, openNodeMembership } from "@berth/queue";
import {
	FunctionRegistry,
	openArtifactStore,
	PackageRegistries,
	resealAll,
	SecretChanges,
	Secrets,
	stackIdOf,
	Vault,
} from "@berth/registry";
import { Pool, type Specialisation } from "@berth/sandbox";
import { createLogger, MainThread, openTracing, WorkerMetrics } from "@berth/telemetry";
import { AttemptSpans } from "./attempt-spans.js";
import { Attempts } from "./attempts.js";
import { PooledBuildSandboxes } from "./build-sandboxes.js";
import { Builds } from "./builds.js";
import { Drain } from "./drain.js";
import { EgressProxy } from "./egress/egress-proxy.js";
import { Roots } from "./egress/roots.js";
import { groupsFor, openDockerBuilds, openEngine, removeLeftovers } from "./engine.js";
import { FunctionSecrets } from "./function-secrets.js";
import { GatewayWays } from "./gateway-ways.js";
import { ImageBudget } from "./images/budget.js";
import { fetchImage } from "./images/fetch-image.js";
import { Images } from "./images/images.js";
import { ImagesAhead } from "./images/images-ahead.js";
import { Mirror, mirrorOrigin, mirrorPlaceOf } from "./images/mirror.js";
import { Registries } from "./images/registries.js";
import { keepIncarnation, keptIncarnation } from "./incarnation.js";
import { InvocationEnds } from "./invocation-ends.js";
import { Invokes } from "./invokes.js";
import { lackHere, laneLimitsOf } from "./lane-limits.js";
import { LogTail } from "./log-tail.js";
import { Minimums } from "./minimums.js";
import { lacksOf } from "./network-lack.js";
import { FunctionsGateway } from "./networks/functions-gateway.js";
import { NodeAnswers } from "./node-answers.js";
import { nodeLoadOf } from "./node-load.js";
import { nodeLack } from "./node-means.js";
import { packageSourcesOf } from "./package-sources.js";
import { endRefused } from "./refusal.js";
import { settlementKeeper } from "./settlement-keeper.js";
import { SpareCpu } from "./spare-cpu.js";
import { GatewayPlaces } from "./streams/gateway-place.js";
import { Targets } from "./targets.js";
import { logUnopenedSecrets } from "./unopened-secrets.js";
import { Upkeep } from "./upkeep.js";
import { VersionLimit } from "./version-limit.js";
import { ReadyVersions, versionKeyOf } from "./versions.js";

/** How long a stop waits for what runs, milliseconds. */
const GRACE_MS = 10_000;
/** How long whoever has started it, and a gateway to be started after it, waits for its floors where nobody wants any sandbox yet, milliseconds. */
const WARM_MS = 5000;
/** Builds at the same time: each wants a core. */
const BUILDS_AT_ONCE = 2;

const settings = loadSettings();
dropPrivileges(settings.serviceUid, groupsFor(settings));
const log = createLogger("worker", settings.logLevel);
const { durableRedisUrl: durableUrl, fastRedisUrl: fastUrl, paths } = settings;
const node = nodeIdOf(settings);

if (process.argv[2] === "--remove-leftovers") {
	await removeLeftovers(settings, node);
	process.exit(0);
}
removeOldSockets();
const mirrorPlace = mirrorPlaceOf(settings);
const origin =
	mirrorPlace && mirrorOrigin(mirrorPlace, (digest, why) => log.warn({ digest, why }, "a blob was brought from the image repository"));
const artifacts = await openArtifactStore(paths.artifacts, {
	budgets: settings.storage,
	...(settings.payloadStore && { bucket: settings.payloadStore }),
	hasPeers: settings.hasPeers,
	onTrouble: (err) => log.error({ err }, "what a payload store holds couldn't be counted, or made less"),
	...(origin && { origin }),
});
const bases = JSON.parse(readFileSync(paths.bases, "utf8")) as Bases;
const engine = await openEngine(settings, node);
engine.onLost((cause) => {
	log.fatal({ err: cause }, "what makes sandboxes is gone, and every sandbox with it: starting again");
	process.exit(1);
});
const onTrouble = (message: string, err: unknown) => log.error({ err }, message);
const crashLoops = await openCrashLoopRecords({ fastUrl, logger: log });
const pool = new Pool({
	engine,
	layers: (digest) => artifacts.images.streamBlob(digest),
	bases,
	node,
	agentSockets: paths.agentSockets,
	memoryBudgetBytes: settings.memoryBudgetBytes,
	prewarmed: settings.prewarmed,
	prewarmedBuilds: settings.prewarmedBuilds,
	idleTtlMs: settings.idleTtlMs,
	cores: settings.cores,
	crashesAllowed: settings.crashesAllowed,
	crashLoopChanged: (of, loop) => (loop === undefined ? crashLoops.forget(of) : crashLoops.keep(of, { ...loop, node })),
	targetOf: (names) => targets.ahead(names),
	onTrouble,
});
const metrics = new WorkerMetrics(
	() => pool.list(),
	() => pool.failing().length,
);
const mainThread = new MainThread();
const spareCpu = new SpareCpu({
	times: () => mainThread.times(),
	contended: () => pool.cpuContended,
	spare: (isSpared) => pool.spareCpu(isSpared),
	onTrouble,
});
metrics.missing(() => pool.missing);
metrics.spared(() => spareCpu.isSpared);
metrics.disk(settings.dataDir);
const functions = await FunctionRegistry.open(durableUrl, log, settings.quotas);
const stacks = new StackRemapper(artifacts.images, (err) => log.error({ err }, "the thread that reads source maps ended"));
const vault = await Vault.open(settings.secretsKey, settings.paths.secretsKey);
const packageRegistries = await PackageRegistries.open(durableUrl, vault, log);
const roots = new Roots(settings.egressCaFile);
const secrets = await Secrets.open(durableUrl, vault, log);
const functionSecrets = new FunctionSecrets(secrets, () => roots.text);
const secretChanges = await SecretChanges.open(durableUrl, (project) => functionSecrets.changed(project), log);
if (!vault.hasOldKeys) void logUnopenedSecrets(durableUrl, vault, log);
const registries = new Registries(settings.registries, settings.imageRepository);
const stores = { images: artifacts.images, keys: artifacts.keys };
const dockerfiles = await openDockerBuilds(settings, node);
const builder = new ImageBuilder({
	vault,
	bases,
	stores,
	sandboxes: new PooledBuildSandboxes(pool),
	timeoutMs: settings.buildTimeoutMs,
	dockerfiles,
	fetchImage: (reference, project) => fetchImage(reference, project, registries, artifacts.images),
	sourcesOf: async (project, language) => packageSourcesOf(project, language, await packageRegistries.accesses(project), settings),
	installMs: settings.install.timeoutMs,
	silenceMs: settings.install.silenceMs,
	findVersion: (project, name, number) => functions.getVersion(project, name, number),
	onMend: (name, err) =>
		log.error({ err, image: name }, "the manifest of an image couldn't be read; it is made again, or its name removed"),
});
const { networks, runtimeClasses, unenforced = [] } = await engine.host();
metrics.unenforced(unenforced);
const means = { runtimeClasses, labels: settings.labels };
const isForHere = (manifest: Version["manifest"]) => nodeLack(manifest, means) === undefined;
const incarnation = randomUUID();
const versions = new ReadyVersions(functions, async (of, key) => {
	const known = await crashLoops.find(of);
	if (known !== undefined) pool.learnCrashLoop(of, key, known);
});
const targets = new Targets({ versions, secrets: functionSecrets, networkMissing: networks.missing, ...means });
const invocationSource = await openInvocationSource({
	durableUrl,
	fastUrl,
	nodeId: node,
	incarnation,
	retention: settings,
	limitsOf: (project, name) => laneLimitsOf(functions, project, name, means),
	lackOf: (request) => lackHere(versions, request, means),
	crashLoopOf: (request) => pool.crashLoop(versionKeyOf(request)),
	cores: settings.cores,
	memoryMiB: pool.runsBytes / MIB,
	projectConcurrency: (project) => functions.quotas.of(project).concurrency,
	interactiveReserve: settings.interactiveReserve,
	logger: log,
});
const mirror = mirrorPlace && new Mirror({ place: mirrorPlace, artifacts, functions, log, onPushed: () => upkeep.keepBudget() });
/** Where other machines run it, too, nothing is ready that they can't have. */
const publish = settings.hasPeers ? mirror?.publish.bind(mirror) : undefined;
const membership = await openNodeMembership({
	fastUrl,
	logger: log,
	claim: {
		earlier: keptIncarnation(paths),
		file: paths.nodeId,
		onClash: (why) => {
			log.fatal(why);
			process.exit(1);
		},
	},
});
const ways = new GatewayWays({
	...(settings.roles.includes("gateway") ? { socketPath: paths.gatewaySocket } : {}),
	others: () => membership.gateways(),
	vault,
});
const invokes = new Invokes({
	ways,
	waits: (invocation) => {
		const ends = [invocationSource.waits(invocation), pool.waits(invocation)];
		return () => ends.forEach((end) => void end());
	},
});
const functionsGateway =
	networks.missing === undefined
		? await FunctionsGateway.open({
				address: networks.gateway,
				ways,
				find: (address) => pool.joinedAt(address),
				attemptOf: (invocation) => invokes.find(invocation),
			}).catch(endRefused)
		: undefined;
const egressProxy =
	networks.missing === undefined
		? await EgressProxy.open({
				address: networks.gateway,
				find: (address) => pool.egressAt(address),
				resolver: settings.resolver,
				roots: () => roots.context,
			}).catch(endRefused)
		: undefined;
const events = await openEventLog({ fastUrl, listens: false, place: { node, host: hostname() }, logger: log });
const builds = new Builds({
	functions,
	artifacts,
	builder,
	metrics,
	events,
	log,
	warmLayers: warmVersion,
	publish,
	networkMissing: networks.missing,
	runtimeClasses,
	isClassElsewhere: async (wanted) => (await membership.nodes()).some((each) => each.runtimeClasses?.includes(wanted) === true),
});
const places = new GatewayPlaces();
const tail = new LogTail(incarnation);
const ends = new InvocationEnds(hostname());
const traces = openTracing(settings.tracing, node, metrics.registry, log);
const attempts = new Attempts({
	node,
	pool,
	targets,
	artifacts,
	metrics,
	ends,
	spans: traces.tracing.sink && new AttemptSpans(traces.tracing.sink),
	places,
	tail,
	onTrouble,
	remap,
	invokes,
});
const buildSource = await openBuildSource({ durableUrl, logger: log });
const images = new Images({ node, artifacts, functions, registries, vault, warmLayers: ensureLayers, publish, log });
const budget =
	settings.imageBytes === undefined
		? undefined
		: new ImageBudget({
				bytes: settings.imageBytes,
				images: artifacts.images,
				builder,
				functions,
				sandboxes: () => pool.list(),
				origin,
				dropUnpacked: () => engine.dropLayers(HOUR_MS),
				log,
			});
const versionLimit = new VersionLimit({
	kept: settings.versionsKept,
	functions,
	hasBackground: (version) => invocationSource.hasBackground(version),
	log,
});
const upkeep = new Upkeep({ settings, artifacts, builds, budget, versionLimit, dockerfiles, engine, reseal, log });
const imagesAhead = new ImagesAhead({ versions, pool, isForHere, log });
const minimums = new Minimums({ functions, pool, isForHere, expect: (of) => imagesAhead.want(of), log });
const drain = new Drain({ node, membership, invocations: invocationSource, builds: buildSource });
const volumes = { bytes: settings.volumeBytes, directory: join(settings.paths.launcher, "volumes") };
const answers = new NodeAnswers({ node, pool, builds, images, metrics, engine, volumes, tail, ends, drain, unenforced });

await pool.start();
await functions.rebases.announce(Object.fromEntries(Object.entries(bases).map(([runtime, { digest }]) => [runtime, digest])));
upkeep.sweepImages();
functions.onChange((name) => {
	invocationSource.changed(name);
	mirror?.wake();
	upkeep.changed(name);
	minimums.changed(name);
});
// Before anything is taken: what a gateway knows this node to have taken is told by incarnation from what an earlier one had.
const joined = membership.join(
	{
		id: node,
		host: hostname(),
		incarnation,
		startedAtMs: Date.now(),
		release: RELEASE,
		engine: settings.engine,
		cores: settings.cores,
		builds: true,
		runtimeClasses: classesOf(runtimeClasses),
		lacks: lacksOf(networks.missing, runtimeClasses),
		labels: settings.labels,
		shares: sharedMeansOf(settings, await stackIdOf(durableUrl), vault.keyIds),
	},
	(question) => answers.answer(question),
	() => nodeLoadOf(pool, invocationSource, settings.maxInflight),
);
await joined.finally(() => keepIncarnation(paths, incarnation)).catch(endRefused);
events.record(undefined, { kind: "node", what: "joined" });
await drain.begin();
await invocationSource.start((delivery) => attempts.run(delivery), settings.maxInflight, settlementKeeper(artifacts, settings.recordsMs));
await buildSource.start((task, attempt, rejected) => builds.run(task, attempt, rejected), BUILDS_AT_ONCE);
await images.resume();
mirror?.start();
minimums.start();
imagesAhead.wantWarm((await membership.nodes()).filter(({ id }) => id !== node));
upkeep.start();

let stopping = false;
/** @param returns another one takes its place in a moment: what waits for this node is left to that one */
async function stop(returns = false): Promise<void> {
	if (stopping) return;
	stopping = true;
	minimums.stop();
	imagesAhead.stop();
	upkeep.stop();
	spareCpu.close();
	await mirror?.close();
	await membership.drain(returns);
	await Promise.all([invocationSource.drain(GRACE_MS), buildSource.close()]);
	events.record(undefined, { kind: "node", what: "left" }, `gone:${incarnation}`);
	await membership.leave();
	tail.close();
	ends.close();
	await invocationSource.close();
	await traces.close();
	functionsGateway?.close();
	egressProxy?.close();
	places.close();
	invokes.close();
	await pool.close();
	await engine.close();
	dockerfiles?.close();
	await events.close();
	await crashLoops.close();
	await functions.close();
	await packageRegistries.close();
	await secretChanges.close();
	await secrets.close();
	await stacks.close();
	process.exit(0);
}
process.once("SIGTERM", () => void stop());
process.once("SIGINT", () => void stop());
process.once("SIGUSR2", () => void stop(true));
exitWithParent(() => void stop());
const store = await functions.store.find(builder.functions().length > 0);
// It takes what comes meanwhile: where something does, its floors are for whoever comes next, and nobody waits for them.
await Promise.race([pool.warmed(), pause(WARM_MS)]);
process.stdout.write(`${JSON.stringify({ ready: true, node, store })}\n`);

/** Sockets of sandboxes of an earlier worker: nobody listens on them any more. */
function removeOldSockets(): void {
	mkdirSync(paths.agentSockets, { recursive: true, mode: 0o700 });
	for (const name of readdirSync(paths.agentSockets)) rmSync(join(paths.agentSockets, name));
}

/** Another node or gateway whose first key is an earlier one seals with that one, after this as before. */
async function reseal(): Promise<void> {
	if (!vault.hasOldKeys) return;
	const resealed = await resealAll(durableUrl, vault, log);
	const left = resealed.lost.length === 0 ? "all that this run found" : "but for what no key opens, all that this run found";
	const more = "a node or gateway that has another key first may seal more with that one: take the others out when all have this one first";
	log.info(
		resealed,
		`${left} in the durable Redis is sealed with the first key of BERTH_SECRETS_KEY, or of secrets.key; ${more}, and this says 0 records`,
	);
}

/** @param names of the version, where it has a number already */
async function ensureLayers(
	{ image, manifest }: Pick<Version, "image" | "manifest">,
	names?: Parameters<Pool["expect"]>[1],
): Promise<void> {
	if (image !== undefined) await pool.expect({ image, manifest }, names);
}

async function warmVersion(version: Version): Promise<void> {
	const { project, function: name, number } = version;
	await ensureLayers(version, { project, function: name, version: number });
}

async function remap(error: FunctionError, target: Specialisation): Promise<FunctionError> {
	return error.stack === undefined ? error : { ...error, stack: await stacks.remap(target.image, error.stack) };
}
