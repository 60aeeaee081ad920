import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { exitWithParent, loadSettings } from "@berth/config";
import type { SandboxExit } from "@berth/contracts";
import { removeAgentSockets } from "./agent-sockets.js";
import { requireProfile } from "./apparmor.js";
import { CgroupTree } from "./cgroup.js";
import { Children } from "./children.js";
import { type Host, probeHost } from "./host.js";
import { LayerStore } from "./layers.js";
import { Networks } from "./networks/networks.js";
import { GVISOR, OciRuntime } from "./oci-runtime.js";
import { ociVerbs } from "./oci-verbs.js";
import { favourMigrations } from "./quick-migrations.js";
import { probeRunsc } from "./runsc.js";
import { SandboxFiles } from "./sandbox-files.js";
import { Sandboxes } from "./sandboxes.js";
import { LauncherServer } from "./server.js";
import { Binds } from "./storage/binds.js";
import { letGoOfOthersVolumes } from "./storage/foreign-mounts.js";
import { SandboxStorage } from "./storage/sandbox-storage.js";
import { Volumes } from "./storage/volumes.js";
import { becomeSubreaper } from "./syscalls.js";

const settings = loadSettings();
const directory = settings.paths.launcher;
// The umask of whoever started us must not decide what sandboxes can read.
process.umask(0o022);
mkdirSync(directory, { recursive: true, mode: 0o711 });
const isSweep = process.argv[2] === "--remove-leftovers";
const probed = probeHost(settings.ociRuntime, settings.insecureAllow);
const { apparmorProfile } = settings;
if (apparmorProfile !== undefined && !isSweep) requireProfile(apparmorProfile);
const runsc = probeRunsc(settings.runsc);
becomeSubreaper();
letGoOfOthersVolumes();

const instance = createHash("sha256").update(settings.dataDir).digest("hex").slice(0, 8);
/** How long the removal of every sandbox may take when our supervisor is gone, milliseconds. */
const STOP_MS = 15_000;
const complain = (message: string, error: unknown) =>
	process.stderr.write(`${message}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
const layers = new LayerStore(directory, (digest) => complain("an unpacked layer was changed, and is brought again", digest));
const mayLackSwap = settings.insecureAllow.includes("swap");
const cgroups = new CgroupTree(probed.cgroupVersion, instance, !probed.unenforced.includes("pids"), mayLackSwap);
const host: Host = { ...probed, unenforced: [...probed.unenforced, ...(cgroups.limitsSwap ? [] : (["swap"] as const))] };
const networks = new Networks({ instance, resolver: settings.resolver });
let server: LauncherServer | undefined;
const children = new Children();
// What only sweeps up gives nobody anything: no directory of the operator's may keep it from that.
const binds = new Binds(isSweep ? {} : settings.binds, settings.dataDir);
const storage = new SandboxStorage(new Volumes(directory, settings.volumeBytes, children), binds);
const { serviceUid } = settings;
const state = join(directory, "state");
const { agentSockets } = settings.paths;
const sandboxes = new Sandboxes({
	files: new SandboxFiles({ directory, agentSockets, serviceUid, host, apparmorProfile, layers, cgroups, storage }),
	storage,
	serviceUid,
	uidBase: settings.sandboxUidBase,
	cgroups,
	networks,
	allowsHostNetwork: settings.allowsHostNetwork,
	runtime: new OciRuntime(host.ociRuntimePath, state, children),
	classes: runsc.path === undefined ? {} : { runsc: new OciRuntime(runsc.path, state, children, GVISOR) },
	isAwaited: (pid) => children.has(pid),
	onExit: (exit: SandboxExit) => server?.announce(exit),
});
const removed = await sandboxes.removeLeftovers();
if (isSweep) {
	cgroups.close();
	networks.close();
	removeAgentSockets(agentSockets);
	process.exit(0);
}
if (host.cgroupVersion === 1)
	favourMigrations(directory, `berth-${instance}`, (error) =>
		complain("boots take some milliseconds longer: favordynmods can't be had", error),
	);
networks.begin();
server = new LauncherServer(() =>
	ociVerbs({ host, runtimeClasses: { runsc: runsc.report }, layers, sandboxes, storage, onTrouble: complain }),
);
await server.listen(settings.paths.launcherSocket, serviceUid);

let stopping = false;
async function stop(): Promise<void> {
	if (stopping) return;
	stopping = true;
	// The worker removes its sandboxes by itself, if it is still there; both may ask for the same.
	const results = await Promise.allSettled([server?.close(), sandboxes.removeAll()]);
	await storage.close().catch((error: unknown) => complain("volumes stay mounted until this process has ended", error));
	try {
		networks.close();
	} catch (error) {
		complain("the rules of sandboxes' networks stay until the launcher's next start", error);
	}
	try {
		// Those of a worker that was stopped while it started: it had nobody yet who would.
		removeAgentSockets(agentSockets);
	} catch (error) {
		complain("sockets of sandboxes stay until the worker's next start", error);
	}
	for (const result of results)
		if (result.status === "rejected") complain("the launcher stops with leftovers, which the next one removes", result.reason);
	process.exit(results.some(({ status }) => status === "rejected") ? 1 : 0);
}
process.once("SIGTERM", () => void stop());
process.once("SIGINT", () => void stop());
exitWithParent(() => void stop(), STOP_MS);

process.stdout.write(
	`${JSON.stringify({ ready: true, removed, cgroups: host.cgroups, platform: cgroups.platformDirectory, unenforced: host.unenforced, runtime: `${host.ociRuntime} ${host.ociRuntimeVersion}` })}\n`,
);
