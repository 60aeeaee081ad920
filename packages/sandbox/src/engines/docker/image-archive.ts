import { createHash } from "node:crypto";
import type { Digest, Layer } from "@berth/contracts";
import type { LayerSource } from "../../engine.js";
import { padding, USTAR, ustarHeader } from "./ustar.js";

/** An image as `POST /images/load` takes it. */
export interface LoadableImage {
	/** `berth/default/hello:3` */
	readonly name: string;
	readonly config: Uint8Array;
	/** Bottom first. */
	readonly layers: readonly Layer[];
}

/**
 * A docker-archive (what `docker save` writes): a list, the image's config, its layers as they are stored. The lowest layers that
 * the Engine has below the same ones are named without being sent. @param sent how many from the top are in it
 */
export async function* imageArchive(
	{ name, config, layers }: LoadableImage,
	sent: number,
	source: LayerSource,
): AsyncGenerator<Uint8Array> {
	const configFile = `${createHash("sha256").update(config).digest("hex")}.json`;
	const list = [{ Config: configFile, RepoTags: [name], Layers: layers.map(({ digest }) => fileOf(digest)) }];
	yield* member("manifest.json", Buffer.from(JSON.stringify(list)));
	yield* member(configFile, config);
	for (const { digest, sizeBytes } of new Map(layers.slice(layers.length - sent).map((layer) => [layer.digest, layer])).values()) {
		yield ustarHeader(fileOf(digest), sizeBytes);
		yield* source(digest);
		yield padding(sizeBytes);
	}
	yield Buffer.alloc(2 * USTAR.block);
}

function fileOf(digest: Digest): string {
	return `${digest.slice("sha256:".length)}.tar`;
}

function* member(name: string, bytes: Uint8Array): Generator<Uint8Array> {
	yield ustarHeader(name, bytes.byteLength);
	yield bytes;
	yield padding(bytes.byteLength);
}
