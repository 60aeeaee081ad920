import { createHash } from "node:crypto";
import type { Digest, Layer } from "@berth/contracts";
import type { LayerSource } from "../../engine.js";
import { MAGIC, read, seal, USTAR, ustarHeader, write } from "./ustar.js";

/** Plain file, symbolic link, directory: what our layers have. */
const TYPES = ["0", "2", "5"];

/** A layer whose files stand below a directory, and where its bytes come from. */
export interface MovedLayer extends Layer {
	readonly source: LayerSource;
}

/**
 * The same layer with all that is in it below a directory, an absolute path of one name. It is read once, for its digest.
 * @throws Error when it isn't of the form that our layers have
 */
export async function movedLayer(layer: Layer, below: string, source: LayerSource): Promise<MovedLayer> {
	const hash = createHash("sha256");
	let sizeBytes = 0;
	for await (const bytes of moved(source(layer.digest), below.slice(1))) {
		hash.update(bytes);
		sizeBytes += bytes.byteLength;
	}
	const digest = `sha256:${hash.digest("hex")}` as Digest;
	return { digest, sizeBytes, source: () => moved(source(layer.digest), below.slice(1)) };
}

async function* moved(tar: AsyncIterable<Uint8Array>, directory: string): AsyncGenerator<Uint8Array> {
	yield ustarHeader(`${directory}/`, 0);
	/** The beginning of a header. */
	let held: Uint8Array = Buffer.alloc(0);
	/** Bytes of a file, with its padding, that haven't come yet. */
	let left = 0;
	for await (const piece of tar) {
		let rest = held.byteLength === 0 ? piece : Buffer.concat([held, piece]);
		for (;;) {
			const content = rest.subarray(0, left);
			if (content.byteLength > 0) yield content;
			left -= content.byteLength;
			rest = rest.subarray(content.byteLength);
			if (rest.byteLength < USTAR.block) break;
			const header = Buffer.from(rest.subarray(0, USTAR.block));
			rest = rest.subarray(USTAR.block);
			// Two blocks of zeros are a tar's end.
			if (header.some((byte) => byte !== 0)) left = move(header, directory);
			yield header;
		}
		held = rest;
	}
	if (left > 0 || held.byteLength > 0) throw new Error("a layer ends in the middle of a file");
}

/** Writes the directory before an entry's name; what a symbolic link leads to stays. @returns how many bytes follow the header */
function move(header: Buffer, directory: string): number {
	if (!TYPES.includes(read(header, "type")) || read(header, "magic") !== MAGIC)
		throw new Error("a layer has an entry that is neither file, directory nor symbolic link in ustar's form");
	const above = textIn(header, "prefix");
	const prefix = above === "" ? directory : `${directory}/${above}`;
	if (prefix.length > USTAR.prefix.bytes) throw new Error(`a layer has a name that is too long to stand below /${directory}`);
	write(header, "prefix", prefix);
	seal(header);
	if (read(header, "type") !== "0") return 0;
	const size = Number.parseInt(textIn(header, "size"), 8);
	if (!Number.isSafeInteger(size) || size < 0) throw new Error("a layer has a file whose size isn't a number");
	return Math.ceil(size / USTAR.block) * USTAR.block;
}

function textIn(header: Buffer, field: "prefix" | "size"): string {
	return read(header, field).split("\0")[0] ?? "";
}
