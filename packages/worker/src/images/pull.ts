import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import {
	imageLabels,
	imageTag,
	labelledManifest,
	type ReadImage,
	readImage,
	readImageManifest,
	splitLayers,
	storeImage,
} from "@berth/builder";
import {
	BerthError,
	type Digest,
	FIXED_LIMITS,
	IMAGE_BOUNDS,
	type ImageReference,
	isImageSource,
	type Layer,
	MIB,
	sizeText,
	type TransferRequest,
	type Version,
} from "@berth/contracts";
import type { Repository } from "@berth/distribution";
import type { ArtifactStore, FunctionRegistry, Vault } from "@berth/registry";
import type { Registries } from "./registries.js";
import type { Progress, PullProgress, Transferred } from "./transfers.js";

/** Collections may take what has no name yet; each time it is fetched again. */
const ROUNDS = 3;
const NO_BUILD = { durationMs: 0, phases: {}, warnings: [] } as const;

export interface PullParts {
	readonly artifacts: Pick<ArtifactStore, "images" | "sources">;
	readonly functions: FunctionRegistry;
	readonly registries: Registries;
	readonly vault: Vault;
	/** Brings an image to where other machines have it from; absent: there are none. */
	readonly publish?: ((version: Version, image: ImageReference, say: (text: string) => void) => Promise<void>) | undefined;
	/** Brings a version's layers to where sandboxes find them; rejects when they aren't as our builder writes them. */
	readonly warmLayers: (version: Pick<Version, "image" | "manifest">) => Promise<void>;
}

/**
 * Pulls an image and makes it a version of a function. Of the image only its layers and what its labels say are
 * taken; config and manifest are written anew, so nothing else of a stranger's gets into the store.
 * @param taken the number that it took for its version before it was cut short
 * @throws BerthError `image_rejected` when it isn't one of ours, `image_not_found`, `registry_failed`
 */
export async function pullImage(request: TransferRequest, parts: PullParts, progress: PullProgress, taken?: number): Promise<Transferred> {
	const { artifacts, functions, registries, vault, warmLayers } = parts;
	const { project } = request;
	await functions.store.requireRecovered();
	const before = taken === undefined ? undefined : await functions.getVersion(project, request.function, taken);
	// It had got to its end, and only that wasn't recorded.
	if (before?.image !== undefined) return { digest: before.image.digest, version: before.number };
	const { repository, reference } = registries.open(request.reference, "pull", request.project);
	const manifest = readImageManifest((await repository.readManifest(reference)).bytes);
	const { config } = manifest;
	const read = readImage(manifest, await repository.readDocument({ digest: config.digest as Digest, size: config.size }));
	progress.begin({ blobs: read.layers.length, totalBytes: read.layers.reduce((sum, { size }) => sum + size, 0) });
	const { manifest: itsManifest, lacksEnv } = labelledManifest(read, project, vault);
	await fetchSource(read, repository, artifacts);
	for (let round = 1; round <= ROUNDS; round++) {
		const layers: Layer[] = [];
		for (const layer of read.layers) layers.push(await fetchLayer(layer, repository, artifacts, progress));
		const { base, own } = splitLayers(read, layers);
		const labels = imageLabels({ project, manifest: itsManifest, source: read.source }, base, read.entry, vault);
		const { digest } = await storeImage(artifacts.images, layers, labels);
		const image: ImageReference = {
			digest,
			base,
			layers: own,
			entry: read.entry,
			...(isImageSource(read.source) ? { isImage: true as const } : {}),
		};
		await takeLayers({ image, manifest: itsManifest }, warmLayers);
		// From here on nothing is collected that has no name yet: whatever a stranger can draw out is over.
		using _hold = await artifacts.images.hold();
		const stored = await Promise.all(layers.map(({ digest }) => artifacts.images.hasBlob(digest)));
		if (!stored.every((one) => one)) continue;
		const made = await storeImage(artifacts.images, layers, labels);
		const number = taken ?? (await functions.reserveNumber(project, request.function));
		await progress.took(number);
		const { source } = read;
		const version = { project, function: request.function, number, manifest: itsManifest, source, createdAt: new Date().toISOString() };
		const name = imageTag(version);
		await artifacts.images.tag(name, made.manifest, version.createdAt);
		try {
			await parts.publish?.({ ...version, state: "building" }, image, () => undefined);
			await functions.importVersion(version, image, { ...NO_BUILD, layers: [] });
		} catch (error) {
			if (error instanceof BerthError && error.entry.fault === "caller") await artifacts.images.untag(name);
			throw error;
		}
		return { digest: made.digest, version: number, ...(lacksEnv && { lacksEnv }) };
	}
	throw new BerthError("platform_error", `Layers of ${request.reference} were removed ${ROUNDS} times while it was pulled; pull it again.`);
}

/** The source, where the registry has it beside the image: the version can be built again then. Should the image be refused, the upkeep removes it. */
async function fetchSource({ source }: ReadImage, repository: Repository, { sources }: PullParts["artifacts"]): Promise<void> {
	const { digest, sizeBytes: size } = source;
	if (size > FIXED_LIMITS.archiveBytes)
		throw new BerthError(
			"image_rejected",
			`The image's source has ${Math.ceil(size / MIB)} MiB, and one may have ${sizeText(FIXED_LIMITS.archiveBytes)}.`,
		);
	if ((await sources.has(digest)) || !(await repository.hasBlob(digest))) return;
	await sources.put(await repository.readDocument({ digest, size }));
}

type ImageLayer = ReadImage["layers"][number];

/** A layer as a tar in the store: what is there already isn't fetched. */
async function fetchLayer(
	layer: ImageLayer,
	repository: Repository,
	{ images }: PullParts["artifacts"],
	progress: Progress,
): Promise<Layer> {
	const { digest, size, diffId, isGzipped } = layer;
	const there = await images.blobSize(diffId);
	if (there !== undefined && (isGzipped || there === size)) {
		progress.present(size);
		return { digest: diffId, sizeBytes: there };
	}
	if (there !== undefined) await images.removeBlob(diffId);
	const counted = async function* () {
		for await (const piece of repository.readBlob({ digest, size })) {
			progress.moved(piece.byteLength);
			yield piece;
		}
	};
	const put = await images.putBlob(isGzipped ? unzipped(counted(), digest) : counted());
	if (put.digest !== diffId)
		throw new BerthError("image_rejected", `The layer ${digest} unpacks to ${put.digest}, not to ${diffId} as the image's config says.`);
	return { digest: diffId, sizeBytes: put.sizeBytes };
}

/** Bounded: a few bytes can unpack to very many. */
async function* unzipped(bytes: AsyncIterable<Uint8Array>, digest: Digest): AsyncGenerator<Uint8Array, void> {
	const source = Readable.from(bytes);
	const unzip = source.pipe(createGunzip());
	source.once("error", (error) => unzip.destroy(error));
	let total = 0;
	try {
		for await (const piece of unzip as AsyncIterable<Buffer>) {
			total += piece.byteLength;
			if (total > IMAGE_BOUNDS.layerBytes)
				throw new BerthError("image_rejected", `The layer ${digest} unpacks to more than ${IMAGE_BOUNDS.layerBytes} bytes.`);
			yield piece;
		}
	} catch (cause) {
		if (cause instanceof BerthError) throw cause;
		throw new BerthError("image_rejected", `The layer ${digest} isn't gzip all through: ${(cause as Error).message}`, { cause });
	} finally {
		source.destroy();
		unzip.destroy();
	}
}

/** The launcher unpacks layers in the one form that our builder writes, as it is root and they are a stranger's. */
async function takeLayers(version: Pick<Version, "image" | "manifest">, warmLayers: PullParts["warmLayers"]): Promise<void> {
	try {
		await warmLayers(version);
	} catch (cause) {
		if ((cause as Error).name !== "LauncherError") throw cause;
		const detail = `A layer of the image isn't as Berth's builder writes it (plain files and directories, ustar): ${(cause as Error).message}`;
		throw new BerthError("image_rejected", detail, { cause });
	}
}
