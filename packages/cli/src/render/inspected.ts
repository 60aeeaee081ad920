import { type Alias, type Backlog, type FailingVersion, type Layer, labelsText, type SandboxInfo, type Version } from "@berth/contracts";
import { namesText } from "./aliases.js";
import { failingText } from "./failing.js";
import { readyText, sandboxesText } from "./kept.js";
import { pairsOf, tableOf } from "./table.js";
import { bytesText, durationText } from "./units.js";

/** Everything about a version that a person asks for: its image layer by layer, what it runs on, what it may use. */
export function inspectedText(
	version: Version,
	aliases: readonly Alias[],
	background: Backlog,
	failing: readonly FailingVersion[] = [],
	sandboxes: readonly SandboxInfo[] = [],
): string {
	const { image, build, failure, manifest, source, number } = version;
	const names = namesText(aliases, number);
	const pairs: [string, string][] = [
		["version", `${number}, ${version.state}${names === "" ? "" : `; ${names}`}`],
		["created", version.createdAt],
	];
	if (build !== undefined) pairs.push(["build", durationText(build.durationMs)]);
	if (failure !== undefined) pairs.push(["failure", `${failure.phase}: ${failure.message}`]);
	for (const one of failing) if (one.version === number) pairs.push(["FAILING", `${one.node}: ${failingText(one)}`]);
	pairs.push(
		["source", `${source.digest} (${source.filename ?? source.kind}, ${bytesText(source.sizeBytes)})`],
		["runtime", manifest.runtimeClass === undefined ? manifest.runtime : `${manifest.runtime}, under ${manifest.runtimeClass}`],
		["limits", `${manifest.memoryMiB} MiB, ${manifest.cpuMilli} m CPU, ${durationText(manifest.timeoutMs)}, /tmp ${manifest.tmpfsMiB} MiB`],
	);
	if (manifest.nodeSelector !== undefined) pairs.push(["nodes", `with ${labelsText(manifest.nodeSelector)}`]);
	const there = sandboxesText(sandboxes.filter((each) => each.version === number));
	pairs.push(["sandboxes", `${there === "" ? "none" : there}; ${readyText(manifest)}`]);
	const storage = [...(manifest.volumes ?? []).map(volumeText), ...(manifest.binds ?? []).map((name) => `/mnt/${name} (the operator's)`)];
	if (storage.length > 0) pairs.push(["storage", storage.join(", ")]);
	pairs.push(["background", backlogText(background)]);
	if (image !== undefined) pairs.push(["image", image.digest], ["base", image.base.digest], ["entry", image.entry]);
	if (version.copy !== undefined) pairs.push(["copy", copyText(version.copy)]);
	const head = `${version.function}\n${pairsOf(pairs, "  ")}`;
	return image === undefined ? head : `${head}\n${layersTable([...image.base.layers.map(ofBase), ...image.layers.map(ofFunction)])}`;
}

/** What a function has to do in the background: `paused, 3 waiting, 1 running`. */
export function backlogText({ paused, waiting, delayed, running, waitsFor }: Backlog): string {
	const parts = [
		...(paused ? ["paused"] : []),
		`${waiting} waiting`,
		...(delayed > 0 ? [`${delayed} for later`] : []),
		`${running} running`,
	];
	const text = parts.join(", ");
	return waitsFor === undefined ? text : `${text}; ${waitsFor}`;
}

function volumeText({ name, readOnly }: NonNullable<Version["manifest"]["volumes"]>[number]): string {
	return `/mnt/${name}${readOnly === true ? " (read-only)" : ""}`;
}

function copyText({ state, reference, tries, problem }: NonNullable<Version["copy"]>): string {
	return state === "pushed" ? reference : `${reference}, not there after ${tries} tries: ${problem?.detail}`;
}

interface Row extends Layer {
	readonly part: "base" | "function";
}

const ofBase = (layer: Layer): Row => ({ ...layer, part: "base" });
const ofFunction = (layer: Layer): Row => ({ ...layer, part: "function" });

/** Bottom first, as they lie on each other. */
function layersTable(layers: readonly Row[]): string {
	return tableOf(layers, [
		{ heading: "  LAYER", cell: (each) => `  ${each.digest}` },
		{ heading: "SIZE", cell: (each) => bytesText(each.sizeBytes), align: "right" },
		{ heading: "OF", cell: (each) => each.part },
	]);
}
