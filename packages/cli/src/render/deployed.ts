import type { Alias, DeployAnswer, LayerReport, LockReport, Version } from "@berth/contracts";
import { targetText } from "./aliases.js";
import { berthIn } from "./command-line.js";
import { pairsOf } from "./table.js";
import { bytesText, durationText } from "./units.js";

const SHOWN_PACKAGES = 8;

/** What a deploy led to: version, image, layers, time, and how to reach it. */
export function deployedText({ version, unchanged, live }: DeployAnswer, url: string, savedLock?: string): string {
	const { image, build } = version;
	const pairs: [string, string][] = [["version", `${version.number}, ${stateOf(version, unchanged)}`]];
	if (image !== undefined) pairs.push(["image", image.digest]);
	// What came back by `berth recover` was built by nobody who is remembered.
	if (build !== undefined && build.layers.length > 0) {
		pairs.push(["layers", build.layers.map(layerText).join(", ")]);
		if (build.lockfile !== undefined) pairs.push(["lock file", lockText(build.lockfile, savedLock)]);
		const resolved = build.layers.flatMap(({ resolved: lines = [] }) => lines);
		if (resolved.length > 0) pairs.push(["packages", packagesText(resolved)]);
		const phases = Object.entries(build.phases).map(([phase, ms]) => `${phase} ${durationText(ms)}`);
		pairs.push(["build", durationText(build.durationMs) + (phases.length > 0 ? ` (${phases.join(", ")})` : "")]);
	}
	const isLive = live === undefined || version.number in live.weights;
	const berth = berthIn(version.project);
	if (live !== undefined && !live.follows) pairs.push(["live", stayedText(version, live, berth)]);
	pairs.push(["url", url], ["invoke", `${berth} invoke ${version.function}${isLive ? "" : `@${version.number}`}`]);
	return `${version.function}\n${pairsOf(pairs, "  ")}`;
}

function lockText({ packages, cached }: LockReport, saved: string | undefined): string {
	const count = packages === 1 ? "1 package" : `${packages} packages`;
	const made = `the source has none: resolved to ${count}${cached ? " before" : ""}`;
	return saved === undefined ? `${made}; \`--save-lock\` keeps it beside package.json` : `${made}, written to ${saved}`;
}

/** `dependencies installed (1.2 MiB, all of it bundled)`; bases are the same for everybody, their size says nothing here. */
function layerText({ name, cached, sizeBytes, inImage, reproduced }: LayerReport): string {
	const state = cached ? "cached" : name === "dependencies" ? "installed" : "built";
	if (name === "runtime" || name === "agent") return `${name} ${state}`;
	const compared = reproduced === undefined ? "" : reproduced ? ", the same as before" : ", not the same as before";
	return `${name} ${state} (${bytesText(sizeBytes)}${inImage === false ? ", all in the bundle" : ""}${compared})`;
}

/** What was chosen of what requirements.txt leaves open; the hashes are in the version. */
function packagesText(resolved: readonly string[]): string {
	const shown = resolved.slice(0, SHOWN_PACKAGES).map((line) => line.replace(/ .*/, ""));
	return shown.join(", ") + (resolved.length > shown.length ? ` and ${resolved.length - shown.length} more` : "");
}

function stateOf(version: Version, unchanged: boolean): string {
	return unchanged ? `${version.state}; unchanged, nothing was built` : version.state;
}

/** A deploy doesn't move what was set by hand: that has to be said where it is looked for. */
function stayedText({ function: name, number }: Version, live: Alias, berth: string): string {
	return `still ${targetText(live)}; \`${berth} alias set ${name} live v${number}\` moves it, \`… live latest\` has it follow deploys`;
}
