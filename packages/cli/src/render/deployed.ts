import type { DeployAnswer, LayerReport, Version } from "@berth/contracts";
import { pairsOf } from "./table.js";
import { bytesText, durationText } from "./units.js";

/** What a deploy led to: version, image, layers, time, and how to reach it. */
export function deployedText({ version, unchanged }: DeployAnswer, url: string): string {
	const { image, build } = version;
	const pairs: [string, string][] = [["version", `${version.number}, ${stateOf(version, unchanged)}`]];
	if (image !== undefined) pairs.push(["image", image.digest]);
	if (build !== undefined) {
		pairs.push(["layers", build.layers.map(layerText).join(", ")]);
		const phases = Object.entries(build.phases).map(([phase, ms]) => `${phase} ${durationText(ms)}`);
		pairs.push(["build", durationText(build.durationMs) + (phases.length > 0 ? ` (${phases.join(", ")})` : "")]);
	}
	pairs.push(["url", url], ["invoke", `berth invoke ${version.function}`]);
	return `${version.function}\n${pairsOf(pairs, "  ")}`;
}

/** `dependencies installed (1.2 MiB, all of it bundled)`; bases are the same for everybody, their size says nothing here. */
function layerText({ name, cached, sizeBytes, inImage }: LayerReport): string {
	const state = cached ? "cached" : name === "dependencies" ? "installed" : "built";
	if (name === "runtime" || name === "agent") return `${name} ${state}`;
	return `${name} ${state} (${bytesText(sizeBytes)}${inImage === false ? ", all in the bundle" : ""})`;
}

function stateOf(version: Version, unchanged: boolean): string {
	return unchanged ? `${version.state}; unchanged, nothing was built` : version.state;
}
