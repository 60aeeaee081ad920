import { isDeepStrictEqual } from "node:util";
import { imageTag, labelledManifest, parseImageTag, readImage, readImageManifest, splitLayers } from "@berth/builder";
import { type Alias, BerthError, type Digest, type FunctionSummary, isImageSource, type Layer, type Recovery } from "@berth/contracts";
import type { ArtifactStore, FunctionRegistry, Vault } from "@berth/registry";

/**
 * Makes versions out of the images of the store: each named image says in its labels what it is of. What is on record stays as it is.
 * Aliases of functions that come back lead to where they led.
 */
export async function recover(
	{ images, functions: copies }: Pick<ArtifactStore, "images" | "functions">,
	functions: FunctionRegistry,
	vault: Vault,
): Promise<Recovery> {
	// Before anything comes back: a gateway copies what it sees.
	const before = await copies.list();
	const wasLost = !(await functions.store.isWhole());
	const named = images.tags().flatMap(([tag, { digest }]) => {
		const version = parseImageTag(tag);
		return version === undefined ? [] : [{ ...version, digest }];
	});
	await functions.store.beginRecovery();
	const recovered: Recovery["recovered"][number][] = [];
	const lost: Recovery["lost"][number][] = [];
	let present = 0;
	for (const one of named.sort((a, b) => a.number - b.number)) {
		try {
			const { isBack, lacksEnv } = await restore(one, images, functions, vault);
			if (!isBack) present++;
			else recovered.push({ function: one.function, version: one.number });
			if (isBack && lacksEnv) lost.push({ image: imageTag(one), why: NO_ENV });
		} catch (error) {
			if (!(error instanceof BerthError) || error.code === "unavailable") throw error;
			lost.push({ image: imageTag(one), why: error.message });
		}
	}
	// Also of those that an earlier try brought back and didn't live to restore: till the end nobody else moves an alias.
	const back = new Set((wasLost ? named : recovered).map((one) => one.function));
	for (const summary of before.filter(({ name }) => back.has(name))) lost.push(...(await restoreAliases(summary, functions)));
	await functions.store.recovered();
	return { recovered, present, lost };
}

/** @returns those that can't lead to where they led */
async function restoreAliases({ project, name, aliases }: FunctionSummary, functions: FunctionRegistry): Promise<Recovery["lost"]> {
	const lost: Recovery["lost"][number][] = [];
	for (const alias of aliases) {
		try {
			const now = (await functions.getFunction(project, name))?.aliases.find((one) => one.name === alias.name);
			if (now !== undefined && isDeepStrictEqual(targetOf(now), targetOf(alias))) continue;
			const target = alias.follows ? ({ follows: true } as const) : { weights: alias.weights };
			// What it led to before is its first step back again; earlier ones are in no copy.
			await functions.aliases.set(project, name, alias.name, target, alias.previous);
		} catch (error) {
			if (!(error instanceof BerthError) || error.code === "unavailable") throw error;
			lost.push({ image: `${project}/${name}@${alias.name}`, why: error.message });
		}
	}
	return lost;
}

function targetOf({ updatedAt: _, ...target }: Alias): Omit<Alias, "updatedAt"> {
	return target;
}

type Named = NonNullable<ReturnType<typeof parseImageTag>> & { readonly digest: Digest };

const NO_ENV =
	"Only its variables are lost: they were sealed with another key (BERTH_SECRETS_KEY, or secrets.key), so the version is back without any. Deploy it again with them.";

async function restore(
	{ digest, ...name }: Named,
	images: ArtifactStore["images"],
	functions: FunctionRegistry,
	vault: Vault,
): Promise<{ readonly isBack: boolean; readonly lacksEnv: boolean }> {
	const manifest = readImageManifest(await images.readBlob(digest));
	const read = readImage(manifest, await images.readBlob(manifest.config.digest as Digest));
	const layers: Layer[] = read.layers.map(({ diffId, size }) => ({ digest: diffId, sizeBytes: size }));
	for (const layer of layers) {
		const sizeBytes = await images.blobSize(layer.digest);
		if (sizeBytes === undefined ? !(await images.isObtainable(layer.digest)) : sizeBytes !== layer.sizeBytes)
			throw new BerthError("platform_error", `Its layer ${layer.digest} is missing, or cut short.`);
	}
	const { base, own } = splitLayers(read, layers);
	const createdAt = images.createdAt(imageTag(name)) ?? new Date().toISOString();
	const image = { digest, base, layers: own, entry: read.entry, ...(isImageSource(read.source) ? { isImage: true as const } : {}) };
	const { manifest: itsManifest, lacksEnv } = labelledManifest(read, name.project, vault);
	const build = { durationMs: 0, phases: {}, layers: [], warnings: [] };
	const isBack = await functions.importVersion({ ...name, manifest: itsManifest, source: read.source, createdAt }, image, build, "again");
	return { isBack, lacksEnv };
}
