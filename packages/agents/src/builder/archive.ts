import { constants, gunzipSync } from "node:zlib";
import type { SourceKind } from "@berth/contracts/agent";
import { type SourceFile, SourceFiles } from "./source-files.js";
import { readTar } from "./tar.js";
import { readZip } from "./zip.js";

const MIB = 1024 * 1024;

/** What an archive may hold. */
export const ARCHIVE_LIMITS = {
	/** Files and directories. */
	entries: 2000,
	/** All files together, unpacked. */
	totalBytes: 64 * MIB,
	/** Unpacked bytes for each packed one; the first MiB is free, since padding packs very well. */
	ratio: 200,
	freeBytes: MIB,
	/** Names in a path. */
	depth: 16,
	/** Bytes of a path. */
	pathBytes: 255,
} as const;

/** An archive that breaks a rule: which entry, which rule. */
export class ArchiveError extends Error {
	override readonly name = "ArchiveError";

	constructor(entry: string | undefined, rule: string) {
		super(entry === undefined ? `the archive ${rule}` : `${JSON.stringify(entry)} ${rule}`);
	}
}

/** The most bytes that an archive of this size may become. */
export function unpackedLimit(packedBytes: number): number {
	return Math.min(ARCHIVE_LIMITS.totalBytes, Math.max(ARCHIVE_LIMITS.freeBytes, packedBytes * ARCHIVE_LIMITS.ratio));
}

/** The files of a source, in memory; nothing is written before all of it was looked at. @throws ArchiveError */
export function unpackSource(kind: SourceKind, filename: string, bytes: Uint8Array): readonly SourceFile[] {
	const files = new SourceFiles();
	if (kind === "file") files.addFile(filename, bytes);
	else if (kind === "zip") readZip(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), files);
	else readTar(gunzip(bytes), files);
	return files.all();
}

/** A tar's headers and padding are the archive's, not the files': they get room of their own. */
function gunzip(bytes: Uint8Array): Buffer {
	const maxOutputLength = unpackedLimit(bytes.byteLength) + ARCHIVE_LIMITS.entries * 2048;
	try {
		return gunzipSync(bytes, { maxOutputLength, finishFlush: constants.Z_FINISH });
	} catch (error) {
		const { code, message } = error as NodeJS.ErrnoException;
		if (code === "ERR_BUFFER_TOO_LARGE") throw new ArchiveError(undefined, `unpacks to more than ${unpackedLimit(bytes.byteLength)} bytes`);
		throw new ArchiveError(undefined, `isn't gzip: ${message}`);
	}
}
