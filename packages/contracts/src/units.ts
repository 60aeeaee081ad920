/** Bytes in a KiB. */
export const KIB = 1024;
/** Bytes in a MiB. */
export const MIB = 1024 * KIB;
/** Milliseconds in a second, minute, hour and day. */
export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** A limit of bytes for people, exactly: `64 MiB`, `1000 bytes`. */
export function sizeText(bytes: number): string {
	if (bytes >= MIB && bytes % MIB === 0) return `${bytes / MIB} MiB`;
	return bytes >= KIB && bytes % KIB === 0 ? `${bytes / KIB} KiB` : `${bytes} bytes`;
}

/** A sha256 digest as the OCI image spec writes it: `sha256:` and 64 hex digits. */
export type Digest = `sha256:${string}`;

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Whether a string is a well-formed sha256 digest. */
export function isDigest(value: string): value is Digest {
	return DIGEST.test(value);
}
