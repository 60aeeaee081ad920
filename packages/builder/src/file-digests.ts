import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import type { KeyStore } from "@berth/registry";

/** A file that goes into a layer, and what it is. */
export interface InputFile {
	readonly file: string;
	readonly sizeBytes: number;
	readonly sha256: string;
}

/**
 * A file's digest. It is remembered with path, size and time of change, so that the 120 MB of a
 * runtime are hashed once and not at each start.
 */
export async function inputFile(path: string, keys: KeyStore): Promise<InputFile> {
	const file = await realpath(path);
	const { size, mtimeMs, ctimeMs, ino } = await stat(file);
	const key = `file:${file}`;
	const seen = [size, mtimeMs, ctimeMs, ino].join();
	const known = (await keys.get(key)) as { seen?: unknown; sha256?: unknown } | undefined;
	if (known?.seen === seen && typeof known.sha256 === "string") return { file, sizeBytes: size, sha256: known.sha256 };
	const hash = createHash("sha256");
	for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer);
	const sha256 = hash.digest("hex");
	await keys.put(key, { seen, sha256 });
	return { file, sizeBytes: size, sha256 };
}
