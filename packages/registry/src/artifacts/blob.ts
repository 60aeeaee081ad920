import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, readFile, rm, stat } from "node:fs/promises";
import { BerthError, type Digest, isDigest } from "@berth/contracts";

const STREAMED_BYTES = 1024 * 1024;

/** The 64 hex digits of a digest, its file's name. @throws BerthError when it isn't one: it may have come from outside */
export function hexOf(digest: Digest): string {
	if (!isDigest(digest)) throw new BerthError("platform_error", `${JSON.stringify(digest)} isn't a sha256 digest.`);
	return digest.slice("sha256:".length);
}

export function digestOf(bytes: Uint8Array): Digest {
	return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export async function exists(path: string): Promise<boolean> {
	try {
		await access(path);
		return true;
	} catch (error) {
		if (isMissing(error)) return false;
		throw error;
	}
}

/** A blob that is missing, or was corrupt and is removed: whoever can get it from elsewhere may. */
export class AbsentBlob extends BerthError {
	constructor(digest: Digest, detail: string, cause?: unknown) {
		super("platform_error", detail, { extra: { digest }, ...(cause === undefined ? {} : { cause }) });
	}
}

/**
 * A blob's bytes, checked against its name. What doesn't match is removed, so that it is made again.
 * @throws AbsentBlob missing or corrupt
 */
export async function readVerified(path: string, digest: Digest): Promise<Buffer> {
	const bytes = await readFile(path).catch((error: unknown) => {
		throw isMissing(error) ? missing(digest, error) : error;
	});
	const actual = digestOf(bytes);
	if (actual !== digest) await refuse(path, digest, actual);
	return bytes;
}

/** The same for one that is too large to be held: who reads it to its end without an error had the right bytes. */
export async function* streamVerified(path: string, digest: Digest): AsyncGenerator<Buffer, void> {
	const hash = createHash("sha256");
	try {
		for await (const chunk of createReadStream(path, { highWaterMark: STREAMED_BYTES })) {
			hash.update(chunk as Buffer);
			yield chunk as Buffer;
		}
	} catch (error) {
		throw isMissing(error) ? missing(digest, error) : error;
	}
	const actual: Digest = `sha256:${hash.digest("hex")}`;
	if (actual !== digest) await refuse(path, digest, actual);
}

async function refuse(path: string, digest: Digest, actual: Digest): Promise<never> {
	await rm(path, { force: true });
	throw new AbsentBlob(digest, `Blob ${digest} is corrupt on disk (its bytes are ${actual}) and was removed.`);
}

function missing(digest: Digest, cause: unknown): AbsentBlob {
	return new AbsentBlob(digest, `There is no blob ${digest} in the artifact store.`, cause);
}

export function isMissing(error: unknown): boolean {
	return (error as NodeJS.ErrnoException).code === "ENOENT";
}

/** Whether a file was last written before that time; not when it is gone. */
export async function isOlder(path: string, beforeMs: number): Promise<boolean> {
	try {
		return (await stat(path)).mtimeMs <= beforeMs;
	} catch (error) {
		if (isMissing(error)) return false;
		throw error;
	}
}
