/**
 * A process that installs what a directory's package-lock.json says, with npm's own installer, as `npm ci
 * --ignore-scripts --omit=dev` does: <directory> <registry>. It prints what went wrong as one line of JSON.
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import Arborist, { type Inventory } from "@npmcli/arborist";

const [directory = "", registry = ""] = process.argv.slice(2);

const options = {
	path: directory,
	registry,
	replaceRegistryHost: "always",
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

process.on("log", (level: string, ...words: unknown[]) => {
	if (level === "warn" || level === "error" || level === "http") process.stderr.write(`npm ${level} ${words.map(String).join(" ")}\n`);
});
install().catch((error: { code?: unknown; message?: unknown }) => {
	writeSync(1, JSON.stringify({ code: String(error.code ?? ""), message: String(error.message ?? error) }));
	process.exitCode = 1;
});
