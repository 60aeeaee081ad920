import { createHash } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { exitWithParent, loadSettings } from "@berth/config";
import { Networks } from "./networks/networks.js";

// What functions with a network need of root where a Docker Engine makes the sandboxes: the rules of this host for bridges that the
// worker has the Engine make. They are the same for whatever is deployed; nobody tells this process anything.
const settings = loadSettings();
/** Nothing else keeps this process: no one talks to it. */
const STAYS_MS = 2 ** 31 - 1;
// The worker reads the report, whatever the umask of whoever started us.
process.umask(0o022);
const report = settings.paths.networks;
const instance = createHash("sha256").update(settings.dataDir).digest("hex").slice(0, 8);
const networks = new Networks({ instance, resolver: settings.resolver, bridged: true });

function stop(): void {
	rmSync(report, { force: true });
	networks.close();
	process.exit(0);
}
if (process.argv[2] === "--remove-leftovers") stop();
writeFileSync(report, JSON.stringify(networks.beginBridged()), { mode: 0o644 });
process.once("SIGTERM", stop);
process.once("SIGINT", stop);
exitWithParent(stop);
setInterval(() => undefined, STAYS_MS);
process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
