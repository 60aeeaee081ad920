import type { AddressInfo } from "node:net";
import { dropPrivileges, exitWithParent, loadSettings } from "@berth/config";
import { newId } from "@berth/contracts";
import { openBuildQueue, openInvocationQueue, openNodeDirectory } from "@berth/queue";
import { ApiKeys, FunctionRegistry, openArtifactStore } from "@berth/registry";
import { createLogger, GatewayMetrics } from "@berth/telemetry";
import { createApp } from "./app.js";
import { createGatewayServer } from "./server.js";
import { Upkeep } from "./upkeep.js";

/** How long a stop waits for what is in flight, milliseconds. */
const GRACE_MS = 10_000;

const settings = loadSettings();
const { server, serve } = createGatewayServer();
// A port below 1024 is only root's to open.
await new Promise<void>((resolve, reject) => {
	server.once("error", reject);
	server.listen(settings.port, settings.host, resolve);
});
dropPrivileges(settings.serviceUid);

const log = createLogger("gateway", settings.logLevel);
const { durableRedisUrl: durableUrl, fastRedisUrl: fastUrl } = settings;
const gatewayId = newId("gw");
const functions = await FunctionRegistry.open(durableUrl, log);
const keys = await ApiKeys.open(durableUrl, log);
const artifacts = await openArtifactStore(settings.paths.artifacts);
const invocations = await openInvocationQueue({ durableUrl, fastUrl, gatewayId, logger: log });
const builds = await openBuildQueue({ durableUrl, logger: log });
const nodes = await openNodeDirectory({
	fastUrl,
	gatewayId,
	logger: log,
	onGone: (node) =>
		void invocations
			.abandon(node.id)
			.catch((err: unknown) => log.error({ err, node: node.id }, "what was on a node that is gone couldn't be ended")),
});
const services = {
	functions,
	keys,
	artifacts,
	invocations,
	builds,
	nodes,
	metrics: new GatewayMetrics(),
	log,
	maxInflight: settings.maxInflight,
};
const firstKey = settings.adminKeySha256 === undefined ? await keys.ensureFirst() : await keys.ensureAdmin(settings.adminKeySha256);
serve(createApp(services));
const upkeep = new Upkeep(services);
upkeep.start();

let stopping = false;
async function stop(): Promise<void> {
	if (stopping) return;
	stopping = true;
	const closed = new Promise<void>((resolve) => server.close(() => resolve()));
	server.closeIdleConnections();
	const hurry = setTimeout(() => server.closeAllConnections(), GRACE_MS);
	await closed;
	clearTimeout(hurry);
	await upkeep.stop();
	await Promise.all([nodes.close(), invocations.close(), builds.close(), functions.close(), keys.close()]);
	process.exit(0);
}
process.once("SIGTERM", () => void stop());
process.once("SIGINT", () => void stop());
exitWithParent(() => void stop());

const { port } = server.address() as AddressInfo;
process.stdout.write(`${JSON.stringify({ ready: true, port, ...(firstKey === undefined ? {} : { firstKey }) })}\n`);
