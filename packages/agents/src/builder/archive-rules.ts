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

/** For an archive of this size that becomes more than it may. */
export function tooMuch(packedBytes: number): ArchiveError {
	const { totalBytes, ratio } = ARCHIVE_LIMITS;
	const limit = unpackedLimit(packedBytes);
	const rule =
		limit === totalBytes
			? `unpacks to more than ${totalBytes} bytes (${totalBytes / MIB} MiB), the most there may be; leave out what the function doesn't need`
			: `unpacks to more than ${limit} bytes, from ${packedBytes}: at most ${ratio} times what is packed, or 1 MiB, may come out; leave out large files of almost nothing`;
	return new ArchiveError(undefined, rule);
}

/** The most entries there may be, for an archive with more. */
export function tooManyEntries(): ArchiveError {
	return new ArchiveError(
		undefined,
		`holds more than ${ARCHIVE_LIMITS.entries} entries; leave out what the function doesn't need, or bundle it before the upload`,
	);
}

const PACK_TAR = "pack it with `tar -czf`";
/** What an archive is that isn't what its content type says, by its first bytes. */
const FORMATS: readonly (readonly [signature: string, at: number, what: string])[] = [
	["\x1f\x8b", 0, "is gzip; send it as application/gzip"],
	["PK\x03\x04", 0, "is a zip; send it as application/zip"],
	["PK\x05\x06", 0, "is a zip without an entry; send one with the source, as application/zip"],
	["ustar", 257, `is a tar that isn't compressed; ${PACK_TAR}`],
	["BZh", 0, `is bzip2; ${PACK_TAR}`],
	["\xfd7zXZ\0", 0, `is xz; ${PACK_TAR}`],
	["\x28\xb5\x2f\xfd", 0, `is zstd; ${PACK_TAR}`],
	["7z\xbc\xaf\x27\x1c", 0, `is 7z; ${PACK_TAR}`],
];

/** For bytes that aren't of the format they were sent as. */
export function wrongFormat(bytes: Uint8Array, expected: "gzip" | "a zip"): ArchiveError {
	const head = Buffer.from(bytes.subarray(0, 512)).toString("latin1");
	const found = FORMATS.find(([signature, at]) => head.startsWith(signature, at))?.[2];
	const pack = expected === "gzip" ? PACK_TAR : "pack it with `zip -r`";
	return new ArchiveError(undefined, `isn't ${expected}${found === undefined ? `; ${pack}` : `: it ${found}`}`);
}
