import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SetupFailure } from "./failure.mjs";
import { PINNED_NODE, ROOT } from "./places.mjs";
import { runProgram } from "./run-program.mjs";

const ADVICE = "Look at the network and npm's registry setting (npm config get registry), then run this again.";

/** npm says why first, and how it is used in general after that. */
const FIRST_ERRORS = 20;
const errors = (lines) => lines.filter((line) => line.startsWith("npm error") || line.startsWith("npm ERR!")).slice(0, FIRST_ERRORS);

/** The project's own packages, the pinned Node among them. */
export const npmPackages = {
	title: "npm packages",
	plan: () => (existsSync(PINNED_NODE) && matchesLock(ROOT) ? undefined : "installs what package-lock.json names, Node 24 among it"),
	async run(log) {
		await runProgram(log, "npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=warn"], {
			advice: ADVICE,
			tell: errors,
		});
		// npm 9's `ci` leaves the link to an optional package's program out; its `rebuild` makes it.
		if (!existsSync(PINNED_NODE))
			await runProgram(log, "npm", ["rebuild", "--ignore-scripts", `node-linux-${process.arch}`], { advice: ADVICE, tell: errors });
		requireFile(PINNED_NODE);
	},
};

const RUNTIMES = join(ROOT, "infra", "runtimes");

/** The Node binaries that functions run on. They aren't programs of this project, so they aren't linked as such. */
export const runtimes = {
	title: "Function runtimes",
	plan: () =>
		runtimeNodes().every((path) => existsSync(path)) && matchesLock(RUNTIMES) ? undefined : "installs Node 24 and Node 22 for functions",
	async run(log) {
		await runProgram(
			log,
			"npm",
			["ci", "--prefix", RUNTIMES, "--no-bin-links", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=warn"],
			{
				advice: ADVICE,
				tell: errors,
			},
		);
		runtimeNodes().forEach(requireFile);
	},
};

function runtimeNodes() {
	const suffix = process.arch === "arm64" ? "-arm64" : "";
	return ["node22", "node24"].map((name) => join(RUNTIMES, "node_modules", `${name}${suffix}`, "bin", "node"));
}

/** npm passes over an optional package that it couldn't have, and each Node is one: there is one per architecture. */
function requireFile(path) {
	if (!existsSync(path)) throw new SetupFailure(`npm left out ${path}`, ADVICE);
}

/**
 * Whether node_modules is what the lock file says. npm keeps a list of what it installed, and writes it last; what is
 * in the lock and not in there must be meant for other machines.
 */
function matchesLock(directory) {
	const installedPath = join(directory, "node_modules", ".package-lock.json");
	if (!existsSync(installedPath)) return false;
	const wanted = packagesOf(join(directory, "package-lock.json"));
	const installed = packagesOf(installedPath);
	const isHere = ([path, entry]) => {
		const found = installed[path];
		if (found === undefined) return entry.optional === true;
		return found.version === entry.version && found.integrity === entry.integrity && found.resolved === entry.resolved;
	};
	return (
		Object.entries(wanted)
			.filter(([path]) => path.startsWith("node_modules/"))
			.every(isHere) && Object.keys(installed).every((path) => path in wanted)
	);
}

function packagesOf(path) {
	return JSON.parse(readFileSync(path, "utf8")).packages;
}
