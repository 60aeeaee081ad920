import { createHash } from "node:crypto";
import type { Digest, Layer } from "@berth/contracts";
import type { LayerSource } from "../../engine.js";

const BLOCK = 512;

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
		yield header(fileOf(digest), sizeBytes);
		yield* source(digest);
		yield padding(sizeBytes);
	}
	yield Buffer.alloc(2 * BLOCK);
}

function fileOf(digest: Digest): string {
	return `${digest.slice("sha256:".length)}.tar`;
}

function* member(name: string, bytes: Uint8Array): Generator<Uint8Array> {
	yield header(name, bytes.byteLength);
	yield bytes;
	yield padding(bytes.byteLength);
}

function padding(size: number): Buffer {
	return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

/** One header block of a plain file (POSIX.1-2017, pax, "ustar Interchange Format"). */
function header(name: string, size: number): Buffer {
	const block = Buffer.alloc(BLOCK);
	const octal = (value: number, at: number, width: number) => block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
	block.write(name, 0, "latin1");
	octal(0o644, 100, 8);
	octal(0, 108, 8);
	octal(0, 116, 8);
	octal(size, 124, 12);
	octal(0, 136, 12);
	block.write(" ".repeat(8), 148, "latin1");
	block.write("0", 156, "latin1");
	block.write("ustar\x0000", 257, "latin1");
	const sum = block.reduce((total, byte) => total + byte, 0);
	block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
	return block;
}
