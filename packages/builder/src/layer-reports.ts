import type { Base, BuildLogLine, BuildReport, LayerReport } from "@berth/contracts";
import { layerLine } from "./build-listener.js";
import type { CodeLayer } from "./code-layer.js";

/** A base's layers, bottom first. */
const BASE_LAYERS = ["runtime", "agent"] as const;

/** Of a base's layers, which no build makes. */
export function baseReport({ layers }: Base): BuildReport["layers"] {
	return BASE_LAYERS.map((name, i) => ({ name, cached: true, sizeBytes: layers[i]?.sizeBytes ?? 0 }));
}

/** Those that a build makes or finds made. */
export function builtLayers({ layers }: BuildReport): BuildReport["layers"] {
	return layers.filter(({ name }) => !BASE_LAYERS.some((base) => base === name));
}

/** Of the code layer. */
export function codeReport({ cached, reproduced, layer }: CodeLayer): LayerReport {
	return { name: "code", cached, ...(reproduced === undefined ? {} : { reproduced }), sizeBytes: layer.sizeBytes };
}

/** What is said of layers once they are there. A dependency layer that the code was just bundled with was said before. */
export function linesOf(code: CodeLayer): readonly BuildLogLine[] {
	const { unpack, bundle: bundled, check } = code.phases;
	const took = [unpack, bundled, check].map((ms) => `${Math.round(ms ?? 0)} ms`);
	return [
		...(code.cached ? dependencyReports(code).map(layerLine) : []),
		...(code.cached ? [] : [{ kind: "step", text: `unpacked in ${took[0]}, bundled in ${took[1]}, checked in ${took[2]}` } as const]),
		layerLine(codeReport(code)),
	];
}

/** Of the layer of dependencies, if there is one. */
export function dependencyReports({ dependencies }: CodeLayer): BuildReport["layers"] {
	if (dependencies === undefined) return [];
	const { layer, ...outcome } = dependencies;
	return [{ name: "dependencies", ...outcome, sizeBytes: layer.sizeBytes }];
}
