import type { BuildLogLine, BuildProgress, LayerReport } from "@berth/contracts";

/** Told what a build does, as it does it. Neither throws nor waits: a build goes on as if nobody listened. */
export interface BuildListener {
	line(line: BuildLogLine): void;
	/** How far an installation is; may be called for every piece that arrives. */
	progress(progress: BuildProgress): void;
}

/** Nobody listens. */
export const SILENT: BuildListener = { line: () => undefined, progress: () => undefined };

/** `layer dependencies cached (1.2 MiB)` */
export function layerLine(layer: LayerReport): BuildLogLine {
	const { name, cached, sizeBytes, inImage, reproduced } = layer;
	const state = cached ? "cached" : name === "dependencies" ? "installed" : "built";
	const place = inImage === false ? ", all that is used of it is in the bundle" : "";
	const compared = reproduced === undefined ? "" : reproduced ? ", the same as before" : ", not the same as before";
	return { kind: "layer", text: `layer ${name} ${state} (${sizeText(sizeBytes)}${place})${compared}`, layer };
}

/** For people: `1.2 MiB`. */
export function sizeText(bytes: number): string {
	if (bytes < 1024) return `${bytes} B`;
	return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
