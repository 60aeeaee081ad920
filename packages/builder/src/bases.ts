import { type Base, type Digest, type Language, type Layer, languageOf, RUNTIMES, type Runtime } from "@berth/contracts";
import type { ArtifactStore } from "@berth/registry";
import { agentLayer, type BaseStores, builderLayer, nodeGypLayer, runtimeLayer, shellLayer } from "./base-layers.js";
import { findBases, rememberBases } from "./known-bases.js";
import { storeImage } from "./oci-image.js";
import { digestOfLayers, type StoredLayer } from "./stored-layer.js";

/** The runtime that builds run on. Code caches are made for functions of this one only: V8 takes its own version's. */
const BUILD_RUNTIME: Runtime = "node24";

/** Whose compiler looks at Python sources in a build: their own. */
const CHECKING_RUNTIME: Runtime = "python3";

/** The layers below a function's own, for each runtime, and those of a build sandbox; and of one for packages' scripts, but for a compiler. */
export type Bases = Readonly<Record<Runtime | "build" | "scripts", Base>>;

export interface BasesOptions {
	/** Directory whose `node_modules/<runtime>/bin/node` is the binary of each runtime of Node (infra/runtimes). */
	readonly runtimesDir: string;
	/** Directory with `agent.cjs`, `bridge.cjs`, `warm.mjs`, `python/` and `builder/` (packages/agents/dist). */
	readonly agentDir: string;
	/** A static init, `/usr/bin/tini-static`. */
	readonly tini: string;
	readonly artifacts: Pick<ArtifactStore, "images" | "keys">;
	/** Told before they are made, which takes a while. */
	readonly onMaking?: () => void;
}

/**
 * Makes the bases out of trusted files, or finds that they are there: the second time nothing is
 * read. They are tagged `base/<name>:current`, so that no collection takes them.
 * @throws BerthError `platform_error` naming what is missing
 */
export async function prepareBases(options: BasesOptions): Promise<Bases> {
	const { runtimesDir, agentDir, tini, artifacts } = options;
	using _hold = await artifacts.images.hold();
	const name = `bases:${agentDir}:${runtimesDir}:${tini}`;
	const bases = ((await findBases(artifacts, name)) as Bases | undefined) ?? (await makeBases(options, name));
	for (const [kind, base] of Object.entries(bases)) {
		const { manifest } = await storeImage(artifacts.images, base.layers, {});
		await artifacts.images.tag(`base/${kind}:current`, manifest);
	}
	return Object.freeze(bases);
}

async function makeBases({ runtimesDir, agentDir, tini, artifacts, onMaking }: BasesOptions, name: string): Promise<Bases> {
	onMaking?.();
	const beganMs = Date.now();
	const stores: BaseStores = { images: artifacts.images, keys: artifacts.keys, inputs: new Set() };
	const agents: Readonly<Record<Language, StoredLayer>> = {
		node: await agentLayer(agentDir, tini, "node", stores),
		python: await agentLayer(agentDir, tini, "python", stores),
		custom: await agentLayer(agentDir, tini, "custom", stores),
	};
	const builder = await builderLayer(agentDir, stores);
	const shell = await shellLayer(stores);
	const nodeGyp = await nodeGypLayer(agentDir, runtimesDir, stores);
	const runtimes = new Map<Runtime, StoredLayer>();
	// One after another: each of Node is 125 MB to read and write.
	for (const runtime of RUNTIMES) runtimes.set(runtime, await runtimeLayer(runtimesDir, runtime, stores));
	const layerOf = (runtime: Runtime) => (runtimes.get(runtime) as StoredLayer).layer;
	const layersOf = (runtime: Runtime): Layer[] => [layerOf(runtime), agents[languageOf(runtime)].layer];
	const build = [...layersOf(BUILD_RUNTIME), builder.layer, layerOf(CHECKING_RUNTIME), shell.layer];
	const bases = Object.fromEntries([
		...RUNTIMES.map((runtime) => [runtime, baseOf(layersOf(runtime))] as const),
		["build", baseOf(build)] as const,
		["scripts", baseOf([...build, nodeGyp.layer])] as const,
	]) as Bases;
	await rememberBases(artifacts, name, stores.inputs, beganMs, bases);
	return bases;
}

/**
 * What makes layers, for their keys. The agent that carries builds has no part in what comes out of them, so a patched one
 * changes no key. A patched Node changes code layers, which have its code cache; a runtime's installed packages stay
 * as they are: its major version, which they depend on, is in its name, and Python's layer is in here.
 */
export function builderIdentities(bases: Bases): { readonly code: Digest; readonly dependencies: Digest } {
	const [node, agent] = bases[BUILD_RUNTIME].layers;
	const makers = bases.build.layers.filter(({ digest }) => digest !== agent?.digest);
	return { code: digestOfLayers(makers), dependencies: digestOfLayers(makers.filter(({ digest }) => digest !== node?.digest)) };
}

function baseOf(layers: readonly Layer[]): Base {
	return { digest: digestOfLayers(layers), layers };
}
