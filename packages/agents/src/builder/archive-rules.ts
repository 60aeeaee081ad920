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

/** A name may be long enough to be no message any more. */
const SHOWN_CHARS = 200;

/** An archive that breaks a rule: which entry, which rule. */
export class ArchiveError extends Error {
	override readonly name = "ArchiveError";

	constructor(entry: string | undefined, rule: string) {
		super(entry === undefined ? `the archive ${rule}` : `${JSON.stringify(entry.slice(0, SHOWN_CHARS))} ${rule}`);
	}
}

/** The most bytes that an archive of this size may become. */
export function unpackedLimit(packedBytes: number): number {
	return Math.min(ARCHIVE_LIMITS.totalBytes, Math.max(ARCHIVE_LIMITS.freeBytes, packedBytes * ARCHIVE_LIMITS.ratio));
}
