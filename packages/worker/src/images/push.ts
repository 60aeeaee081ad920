import { readImageManifest } from "@berth/builder";
import { BerthError, type Digest, MEDIA_TYPES, type TransferRequest } from "@berth/contracts";
import type { BlobDescriptor, Repository } from "@berth/distribution";
import type { ArtifactStore, FunctionRegistry } from "@berth/registry";
import type { Registries } from "./registries.js";
import type { Progress, Transferred } from "./transfers.js";

export interface PushParts {
	readonly artifacts: Pick<ArtifactStore, "images" | "keys">;
	readonly functions: FunctionRegistry;
	readonly registries: Registries;
}

/** Pushes the image of a version: its blobs, unless the registry has them, then its manifest. @throws BerthError */
export async function pushImage(request: TransferRequest, parts: PushParts, progress: Progress): Promise<Transferred> {
	const { artifacts, registries } = parts;
	const { repository, host, name, reference } = registries.open(request.reference, "push");
	const { number, digest } = await imageOf(request, parts);
	const bytes = await artifacts.images.readBlob(digest);
	const manifest = readImageManifest(bytes);
	const blobs = new Map(
		[manifest.config, ...manifest.layers].map((blob) => [blob.digest, { digest: blob.digest as Digest, size: blob.size }]),
	);
	progress.begin({ digest, blobs: blobs.size, totalBytes: [...blobs.values()].reduce((sum, { size }) => sum + size, 0) });
	for (const blob of blobs.values()) await pushBlob(blob, { repository, host, name }, artifacts, progress);
	await repository.putManifest(reference, { bytes, digest, mediaType: MEDIA_TYPES.manifest });
	return { digest, version: number };
}

async function imageOf({ project, function: name, version }: TransferRequest, { functions }: PushParts) {
	const found = version === undefined ? await functions.resolve(project, name) : await functions.getVersion(project, name, version);
	if (found === undefined) throw new BerthError("function_not_found", `there is no version ${version} of ${name}`);
	if (found.image === undefined)
		throw new BerthError("function_not_ready", `version ${version} of ${name} has no image: it is ${found.state}`);
	return { number: found.number, digest: found.image.digest };
}

/** Where a blob was last put in a registry is remembered: another repository takes it from there. */
async function pushBlob(
	blob: BlobDescriptor,
	{ repository, host, name }: { readonly repository: Repository; readonly host: string; readonly name: string },
	{ images, keys }: PushParts["artifacts"],
	progress: Progress,
): Promise<void> {
	const key = `pushed:${host}:${blob.digest}`;
	if (await repository.hasBlob(blob.digest)) {
		progress.present(blob.size);
	} else {
		const known = (await keys.get(key)) as { readonly repository?: string } | undefined;
		const bytes = () => counted(images.streamBlob(blob.digest), progress);
		const sent = await repository.putBlob(blob, bytes, known?.repository === name ? undefined : known?.repository);
		if (!sent) progress.present(blob.size);
	}
	await keys.put(key, { digest: blob.digest, repository: name });
}

async function* counted(bytes: AsyncIterable<Uint8Array>, progress: Progress): AsyncGenerator<Uint8Array, void> {
	for await (const piece of bytes) {
		yield piece;
		progress.moved(piece.byteLength);
	}
}
