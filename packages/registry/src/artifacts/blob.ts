import { createHash } from "node:crypto";
import { access, readFile, rm, stat } from "node:fs/promises";
import { BerthError, type Digest, isDigest } from "@berth/contracts";

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

/**
 * A blob's bytes, checked against its name. What doesn't match is removed, so that it is made again.
 * @throws BerthError `platform_error`: missing or corrupt
 */
export async function readVerified(path: string, digest: Digest): Promise<Buffer> {
	const bytes = await readExisting(path, `blob ${digest}`);
	const actual = digestOf(bytes);
	if (actual === digest) return bytes;
	await rm(path, { force: true });
	throw new BerthError("platform_error", `Blob ${digest} is corrupt on disk (its bytes are ${actual}) and was removed.`, {
		extra: { digest },
	});
}

/** @throws BerthError `platform_error` when there is no such file */
export async function readExisting(path: string, what: string): Promise<Buffer> {
	try {
		return await readFile(path);
	} catch (error) {
		if (isMissing(error)) throw new BerthError("platform_error", `There is no ${what} in the artifact store.`, { cause: error });
		throw error;
	}
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
