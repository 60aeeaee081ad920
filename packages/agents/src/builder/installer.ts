/**
 * A process that runs npm's own installer on a directory, as one argument of JSON says (`InstallerTask`): it installs what
 * the directory's package-lock.json says, as `npm ci --ignore-scripts --omit=dev` does, or makes a package-lock.json of its
 * package.json. It prints what went wrong as one line of JSON.
 */
import { writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import Arborist, { type Inventory } from "@npmcli/arborist";
import type { InstallerTask } from "./installer-task.js";

const { action, directory, registry, scopes } = JSON.parse(process.argv[2] ?? "") as InstallerTask;

const options = {
	path: directory,
	registry,
	...Object.fromEntries(Object.entries(scopes).map(([scope, url]) => [`${scope}:registry`, url])),
	// Every place leads to the bridge already.
	replaceRegistryHost: "never",
	cache: join(directory, "..", "cache"),
	// Those of every runtime; npm would look for the system's tools to find out.
	os: "linux",
	libc: "glibc",
	ignoreScripts: true,
	binLinks: false,
	audit: false,
	packageLock: true,
	save: false,
	omit: ["dev"],
	fetchRetries: 1,
	fetchRetryMintimeout: 200,
	maxSockets: 8,
};
/** Dependencies of dependencies may name what only somebody with a network could fetch. */
const REGISTRY_ONLY = { allowGit: "none", allowRemote: "none", allowFile: "none", allowDirectory: "none" };

/** What the tree needs and the lock file hasn't, or has in another version: it was made of another package.json. */
function missing(locked: Inventory, ideal: Inventory): readonly string[] {
	return [...ideal.entries()]
		.filter(([location, { isProjectRoot, version }]) => !isProjectRoot && locked.get(location)?.version !== version)
		.map(([, { name, version }]) => `${name}@${version}`);
}

async function install(): Promise<void> {
	const virtual = await new Arborist(options).loadVirtual();
	const locked = new Map(virtual.inventory.entries());
	const arborist = new Arborist(options);
	const ideal = await arborist.buildIdealTree();
	const absent = missing(locked as Inventory, ideal.inventory);
	if (absent.length > 0)
		throw Object.assign(new Error(`package-lock.json hasn't ${absent.slice(0, 5).join(", ")}, which package.json needs`), {
			code: "EUSAGE",
		});
	await arborist.reify(options);
}

async function resolve(): Promise<void> {
	const { meta } = await new Arborist({ ...options, ...REGISTRY_ONLY }).buildIdealTree();
	const { packages } = meta.commit();
	writeFileSync(join(directory, "package-lock.json"), JSON.stringify({ lockfileVersion: 3, requires: true, packages }, undefined, 2));
}

process.on("log", (level: string, ...words: unknown[]) => {
	if (level === "warn" || level === "error") process.stderr.write(`npm ${level} ${words.map(String).join(" ")}\n`);
});
(action === "resolve" ? resolve() : install()).catch((error: { code?: unknown; message?: unknown }) => {
	writeSync(1, JSON.stringify({ code: String(error.code ?? ""), message: String(error.message ?? error) }));
	process.exitCode = 1;
});
