import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { exitWithParent, loadSettings } from "@berth/config";
import type { SandboxExit } from "@berth/contracts";
import { CgroupTree } from "./cgroup.js";
import { probeHost } from "./host.js";
import { LayerStore } from "./layers.js";
import { OciRuntime } from "./oci-runtime.js";
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
let server: LauncherServer | undefined;
const sandboxes = new Sandboxes({
	directory,
	agentSockets: settings.paths.agentSockets,
	serviceUid: settings.serviceUid,
	uidBase: settings.sandboxUidBase,
	host,
	layers,
	cgroups: new CgroupTree(host.cgroupVersion, instance),
	runtime: new OciRuntime(host.ociRuntimePath, join(directory, "state")),
	onExit: (exit: SandboxExit) => server?.announce(exit),
});
const removed = await sandboxes.removeLeftovers();
server = new LauncherServer(host, layers, sandboxes);
await server.listen(settings.paths.launcherSocket, settings.serviceUid);

async function stop(): Promise<void> {
	await server?.close();
	await sandboxes.removeAll();
	process.exit(0);
}
process.once("SIGTERM", () => void stop());
process.once("SIGINT", () => void stop());
exitWithParent(() => void stop());

process.stdout.write(
	`${JSON.stringify({ ready: true, removed, cgroups: host.cgroups, runtime: `${host.ociRuntime} ${host.ociRuntimeVersion}` })}\n`,
);
