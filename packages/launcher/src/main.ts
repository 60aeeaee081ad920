import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { exitWithParent, loadSettings } from "@berth/config";
import type { SandboxExit } from "@berth/contracts";
import { removeAgentSockets } from "./agent-sockets.js";
import { CgroupTree } from "./cgroup.js";
import { probeHost } from "./host.js";
import { LayerStore } from "./layers.js";
import { Networks } from "./networks/networks.js";
import { OciRuntime } from "./oci-runtime.js";
import { favourMigrations } from "./quick-migrations.js";
import { Sandboxes } from "./sandboxes.js";
import { LauncherServer } from "./server.js";
import { becomeSubreaper } from "./syscalls.js";

const settings = loadSettings();
const directory = settings.paths.launcher;
// The umask of whoever started us must not decide what sandboxes can read.
process.umask(0o022);
mkdirSync(directory, { recursive: true, mode: 0o711 });
const host = probeHost(settings.ociRuntime);
becomeSubreaper();

const layers = new LayerStore(directory);
const instance = createHash("sha256").update(settings.dataDir).digest("hex").slice(0, 8);
/** How long the removal of every sandbox may take when our supervisor is gone, milliseconds. */
const STOP_MS = 15_000;
const complain = (message: string, error: unknown) =>
	process.stderr.write(`${message}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
const cgroups = new CgroupTree(host.cgroupVersion, instance);
const networks = new Networks({ instance, resolver: settings.resolver });
let server: LauncherServer | undefined;
const sandboxes = new Sandboxes({
	directory,
	agentSockets: settings.paths.agentSockets,
	serviceUid: settings.serviceUid,
	uidBase: settings.sandboxUidBase,
	host,
	layers,
	cgroups,
	networks,
	allowsHostNetwork: settings.allowsHostNetwork,
	runtime: new OciRuntime(host.ociRuntimePath, join(directory, "state")),
	onExit: (exit: SandboxExit) => server?.announce(exit),
});
const removed = await sandboxes.removeLeftovers();
if (process.argv[2] === "--remove-leftovers") {
	cgroups.close();
	networks.close();
	removeAgentSockets(settings.paths.agentSockets);
	process.exit(0);
}
if (host.cgroupVersion === 1)
	favourMigrations(directory, `berth-${instance}`, (error) =>
		complain("boots take some milliseconds longer: favordynmods can't be had", error),
	);
networks.begin();
server = new LauncherServer(host, layers, sandboxes, complain);
await server.listen(settings.paths.launcherSocket, settings.serviceUid);

let stopping = false;
async function stop(): Promise<void> {
	if (stopping) return;
	stopping = true;
	// The worker removes its sandboxes by itself, if it is still there; both may ask for the same.
	const results = await Promise.allSettled([server?.close(), sandboxes.removeAll()]);
	try {
		networks.close();
	} catch (error) {
		complain("the rules of sandboxes' networks stay until the launcher's next start", error);
	}
	for (const result of results)
		if (result.status === "rejected") complain("the launcher stops with leftovers, which the next one removes", result.reason);
	process.exit(results.some(({ status }) => status === "rejected") ? 1 : 0);
}
process.once("SIGTERM", () => void stop());
process.once("SIGINT", () => void stop());
exitWithParent(() => void stop(), STOP_MS);

process.stdout.write(
	`${JSON.stringify({ ready: true, removed, cgroups: host.cgroups, runtime: `${host.ociRuntime} ${host.ociRuntimeVersion}` })}\n`,
);
