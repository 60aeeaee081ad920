import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { environment, ROOT } from "../setup/places.mjs";
import { manifestOf, packageNames } from "./sources.mjs";

/** Where there is a lock file of ours. */
const LOCKED = ["", "infra/runtimes"];
/** Less than that is told by `npm audit`, and doesn't fail. */
const SEVERE = new Set(["high", "critical"]);
const KINDS = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/**
 * What comes from others is what was chosen: pinned to a version in each package.json, and to its bytes in each lock file, which is of npm's
 * registry alone (no link, no git, no file, no other host). @returns {string[]} what is wrong
 */
export function checkPins() {
	return [
		...LOCKED.flatMap((place) => [...looseIn(place || "the root", readJson(place, "package.json")), ...unsureIn(place)]),
		...looseInPackages(),
	];
}

/**
 * Known holes in what is installed, as the registry that npm is set to has them.
 * @returns {{problems: string[], unasked?: string}} and why it couldn't be asked, if it couldn't
 */
export function audit() {
	const problems = [];
	for (const place of LOCKED) {
		const options = ["--json", "--fetch-retries=0", "--fetch-timeout=20000"];
		const { stdout, stderr, error } = spawnSync("npm", ["audit", ...options], {
			cwd: join(ROOT, place),
			env: environment(),
			encoding: "utf8",
		});
		const said = answerIn(stdout);
		if (said?.vulnerabilities === undefined)
			return { problems, unasked: said?.message ?? error?.message ?? (stderr.trim() || "npm audit said nothing") };
		problems.push(...holesIn(said.vulnerabilities));
	}
	return { problems };
}

function looseInPackages() {
	return packageNames().flatMap((name) => looseIn(`packages/${name}`, manifestOf(name)));
}

function looseIn(place, manifest) {
	const wanted = KINDS.flatMap((kind) => Object.entries(manifest[kind] ?? {}));
	return wanted
		.filter(([name, range]) => !(name.startsWith("@berth/") || /^(?:npm:(?:@[^/]+\/)?[^@]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(range)))
		.map(([name, range]) => `${place}: ${name} is pinned to no version: ${range}`);
}

function unsureIn(place) {
	const { packages } = readJson(place, "package-lock.json");
	const foreign = Object.entries(packages).filter(([path, { link }]) => path.includes("node_modules/") && link !== true);
	return foreign.flatMap(([path, { integrity, resolved }]) => {
		const where = join(place, path);
		if (!integrity?.startsWith("sha512-")) return [`${where}: nothing says what its bytes are (no sha512 integrity)`];
		if (resolved !== undefined && !resolved.startsWith("https://registry.npmjs.org/")) return [`${where}: it comes from ${resolved}`];
		return [];
	});
}

/** Each hole once: npm tells it again of everything that depends on what has it. */
function holesIn(vulnerabilities) {
	const told = Object.values(vulnerabilities).flatMap(({ via }) =>
		via.filter((one) => typeof one === "object" && SEVERE.has(one.severity)),
	);
	return [...new Set(told.map(({ name, range, severity, title, url }) => `${name} ${range} (${severity}): ${title}, ${url}`))];
}

function answerIn(stdout) {
	try {
		return JSON.parse(stdout);
	} catch {
		// npm itself failed: what it said of that is told in its place.
		return undefined;
	}
}

function readJson(...path) {
	return JSON.parse(readFileSync(join(ROOT, ...path), "utf8"));
}
