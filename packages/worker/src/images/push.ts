import { createHash } from "node:crypto";
import { readImage, readImageManifest } from "@berth/builder";
import { BerthError, type Digest, type ImageManifest, KIB, MEDIA_TYPES, type TransferRequest } from "@berth/contracts";
import type { BlobDescriptor, Repository } from "@berth/distribution";
import type { ArtifactStore, FunctionRegistry } from "@berth/registry";
import type { Registries } from "./registries.js";
import type { Progress, Transferred } from "./transfers.js";

type Artifacts = Pick<ArtifactStore, "images" | "keys" | "sources">;

export interface PushParts {
	readonly artifacts: Artifacts;
	readonly functions: FunctionRegistry;
	readonly registries: Registries;
}

/** A repository that is pushed to, and what it is called. */
export interface PushTarget {
	readonly repository: Repository;
	readonly host: string;
	readonly name: string;
	/** The tag, or digest, that the image gets. */
	readonly reference: string;
}

/** Pushes the image of a version, as somebody asked for. @throws BerthError */
export async function pushVersion(request: TransferRequest, parts: PushParts, progress: Progress): Promise<Transferred> {
	const target = parts.registries.open(request.reference, "push", request.project);
	const { number, digest } = await imageOf(request, parts);
	await pushImage(digest, target, parts.artifacts, progress, request.withoutSource !== true);
	return { digest, version: number };
}

async function imageOf({ project, function: name, version }: TransferRequest, { functions }: PushParts) {
	const found = version === undefined ? await functions.resolve(project, name) : await functions.needVersion(project, name, version);
	if (found.image === undefined)
		throw new BerthError("function_not_ready", `version ${version} of ${name} has no image: it is ${found.state}`);
	return { number: found.number, digest: found.image.digest };
}

/** Pushes an image: its blobs and its source, unless the registry has them; then its manifest. @throws BerthError */
export async function pushImage(
	digest: Digest,
	target: PushTarget,
	artifacts: Artifacts,
	progress: Progress,
	withSource: boolean,
): Promise<void> {
	const bytes = await artifacts.images.readBlob(digest);
	const manifest = readImageManifest(bytes);
	const blobs = new Map(
		[manifest.config, ...manifest.layers].map((blob) => [blob.digest, { digest: blob.digest as Digest, size: blob.size }]),
	);
	const source = withSource ? await sourceOf(manifest, artifacts) : undefined;
	const isSourceMissing = source !== undefined && !(await target.repository.hasBlob(source.digest));
	const sizes = [...blobs.values(), ...(isSourceMissing ? [source] : [])].map(({ size }) => size);
	progress.begin({ digest, blobs: blobs.size, totalBytes: sizes.reduce((sum, size) => sum + size, 0) });
	for (const blob of blobs.values()) {
		const read = () => counted(artifacts.images.streamBlob(blob.digest), progress);
		if (!(await pushBlob(blob, read, target, artifacts.keys))) progress.present(blob.size);
	}
	if (isSourceMissing) {
		const archive = await artifacts.sources.get(source.digest);
		await target.repository.putBlob(source, () => counted(pieces(archive), progress), undefined);
	}
	if (source !== undefined) await nameSource(source, target);
	await target.repository.putManifest(target.reference, { bytes, digest, mediaType: MEDIA_TYPES.manifest });
}

/** The source that an image was made of, where it is kept. */
async function sourceOf(manifest: ImageManifest, { images, sources }: Artifacts): Promise<BlobDescriptor | undefined> {
	const { source } = readImage(manifest, await images.readBlob(manifest.config.digest as Digest));
	return (await sources.has(source.digest)) ? { digest: source.digest, size: source.sizeBytes } : undefined;
}

/** Where a blob was last put in a registry is remembered: another repository takes it from there. @returns whether it was sent */
async function pushBlob(
	blob: BlobDescriptor,
	bytes: () => AsyncIterable<Uint8Array>,
	{ repository, host, name }: PushTarget,
	keys: ArtifactStore["keys"],
): Promise<boolean> {
	const key = `pushed:${host}:${blob.digest}`;
	let sent = false;
	if (!(await repository.hasBlob(blob.digest))) {
		const known = (await keys.get(key)) as { readonly repository?: string } | undefined;
		sent = await repository.putBlob(blob, bytes, known?.repository === name ? undefined : known?.repository);
	}
	await keys.put(key, { digest: blob.digest, repository: name });
	return sent;
}

const PIECE_BYTES = 64 * KIB;

/** The empty config of an artifact (OCI image spec 1.1, manifest.md, "Guidelines for Artifact Usage"). */
const EMPTY = Buffer.from("{}");

/**
 * An image's source beside it: an artifact of one layer, the source as it was handed in, whose digest the image's label has. The tag
 * keeps it from the registry's own collection; a pull asks for the blob alone.
 */
async function nameSource(layer: BlobDescriptor, { repository }: PushTarget): Promise<void> {
	const tag = layer.digest.replace(":", "-");
	const config = { digest: digestOf(EMPTY), size: EMPTY.length };
	if (!(await repository.hasBlob(config.digest))) await repository.putBlob(config, () => pieces(EMPTY), undefined);
	const manifest = Buffer.from(
		JSON.stringify({
			schemaVersion: 2,
			mediaType: MEDIA_TYPES.manifest,
			artifactType: MEDIA_TYPES.source,
			config: { mediaType: MEDIA_TYPES.empty, ...config },
			layers: [{ mediaType: MEDIA_TYPES.source, ...layer }],
		}),
	);
	await repository.putManifest(`${tag}.source`, { bytes: manifest, digest: digestOf(manifest), mediaType: MEDIA_TYPES.manifest });
}

function digestOf(bytes: Uint8Array): Digest {
	return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Of a length that says how far it is. */
async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
	for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

async function* counted(bytes: AsyncIterable<Uint8Array>, progress: Progress): AsyncGenerator<Uint8Array, void> {
	for await (const piece of bytes) {
		yield piece;
		progress.moved(piece.byteLength);
	}
}
