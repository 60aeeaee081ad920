import type { DeployAnswer, Version } from "@berth/contracts";
import { pairsOf } from "./table.js";
import { durationText } from "./units.js";

/** What a deploy led to: version, image, layers, time, and how to reach it. */
export function deployedText({ version, unchanged }: DeployAnswer, url: string): string {
	const { image, build } = version;
	const pairs: [string, string][] = [["version", `${version.number}, ${stateOf(version, unchanged)}`]];
	if (image !== undefined) pairs.push(["image", image.digest]);
	if (build !== undefined) {
		pairs.push(["layers", build.layers.map((layer) => `${layer.name} ${layer.cached ? "cached" : "built"}`).join(", ")]);
		const phases = Object.entries(build.phases).map(([phase, ms]) => `${phase} ${durationText(ms)}`);
		pairs.push(["build", durationText(build.durationMs) + (phases.length > 0 ? ` (${phases.join(", ")})` : "")]);
	}
	pairs.push(["url", url], ["invoke", `berth invoke ${version.function}`]);
	return `${version.function}\n${pairsOf(pairs, "  ")}`;
}

function stateOf(version: Version, unchanged: boolean): string {
	return unchanged ? `${version.state}; unchanged, nothing was built` : version.state;
}
