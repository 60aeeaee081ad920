import { createReadStream } from "node:fs";
import { join } from "node:path";
import { MIB } from "@berth/contracts";
import type { LayerSource } from "@berth/sandbox";

/** Blobs of an image layout on disk. @param directory its `blobs/sha256` */
export function blobsIn(directory: string): LayerSource {
	return (digest) => createReadStream(join(directory, digest.slice("sha256:".length)), { highWaterMark: MIB });
}
