import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { exitWithParent, loadSettings } from "@berth/config";
import { requireProfile } from "./apparmor.js";
import { Children } from "./children.js";
import { dockerVerbs } from "./docker-verbs.js";
import { Networks } from "./networks/networks.js";
import { LauncherServer } from "./server.js";
import { Binds } from "./storage/binds.js";
import { ContainerStorage } from "./storage/container-storage.js";
import { SandboxStorage } from "./storage/sandbox-storage.js";
import { Volumes } from "./storage/volumes.js";

// The launcher where a Docker Engine makes the sandboxes: what is root's to do for their networks and for what they have mounted.
// It isn't in a mount namespace of its own, since the Engine has to see what it mounts.
const settings = loadSettings();
const directory = settings.paths.launcher;
process.umask(0o022);
mkdirSync(directory, { recursive: true, mode: 0o711 });
const instance = createHash("sha256").update(settings.dataDir).digest("hex").slice(0, 8);
const isSweep = process.argv[2] === "--remove-leftovers";
const complain = (message: string, error: unknown) =>
	process.stderr.write(`${message}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
if (settings.apparmorProfile !== undefined && !isSweep) requireProfile(settings.apparmorProfile);
const networks = new Networks({ instance, resolver: settings.resolver, bridged: true });
const binds = new Binds(isSweep ? {} : settings.binds, settings.dataDir);
const storage = new ContainerStorage({
	directory,
	storage: new SandboxStorage(new Volumes(directory, settings.volumeBytes, new Children()), binds),
	uidBase: settings.sandboxUidBase,
});
storage.begin();
if (isSweep) {
	networks.close();
	process.exit(0);
}
const report = networks.beginBridged();
const server = new LauncherServer(() => dockerVerbs(report, storage, complain));
await server.listen(settings.paths.launcherSocket, settings.serviceUid);

let stopping = false;
async function stop(): Promise<void> {
	if (stopping) return;
	stopping = true;
	const steps = [() => server.close(), () => storage.close(), async () => networks.close()];
	let failed = false;
	for (const step of steps) {
		try {
			await step();
		} catch (error) {
			failed = true;
			complain("the launcher stops with leftovers, which the next one removes", error);
		}
	}
	process.exit(failed ? 1 : 0);
}
process.once("SIGTERM", () => void stop());
process.once("SIGINT", () => void stop());
exitWithParent(() => void stop());
process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
