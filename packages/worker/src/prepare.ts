import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { prepareBases } from "@berth/builder";
import { loadSettings } from "@berth/config";
import { abandonArtifacts, openArtifactStore } from "@berth/registry";
import { endRefused } from "./refusal.js";

/**
 * Makes, unless other machines of the stack refuse this one, the bases of all runtimes out of this checkout's own files and the distribution's, and ends. It runs as root, before
 * the worker, because a checkout below a private home can be read by nobody else; what it reads is
 * theirs, never a tenant's.
 */
const settings = loadSettings();
/** What a shell says of who ends by SIGTERM. */
const SIGTERM_EXIT = 128 + 15;
const root = join(import.meta.dirname, "../../../..");
const say = (progress: string) => process.stdout.write(`${JSON.stringify({ progress })}\n`);
// Most machines are all of their stack, and a client of Redis is half of what this program loads.
const heard =
	settings.embedded.fast && settings.embedded.durable
		? undefined
		: await import("./other-machines.js").then((it) => it.lookAtOthers(settings, say)).catch(endRefused);
if (heard !== undefined) say(heard);
const artifacts = await openArtifactStore(settings.paths.artifacts, { owner: settings.serviceUid });
process.once("SIGTERM", () => {
	abandonArtifacts(settings.paths.artifacts);
	process.exit(SIGTERM_EXIT);
});
const bases = await prepareBases({
	runtimesDir: join(root, "infra/runtimes"),
	agentDir: join(root, "packages/agents/dist"),
	tini: "/usr/bin/tini-static",
	artifacts,
	onMaking: () => say("making the base images"),
});
writeFileSync(settings.paths.bases, JSON.stringify(bases), { mode: 0o644 });
chownSync(settings.paths.bases, settings.serviceUid, settings.serviceUid);
