import type { Digest } from "@berth/contracts";

/** A reference to a blob, as the OCI image spec writes it (descriptor.md). */
export interface Descriptor {
	readonly mediaType: string;
	readonly digest: Digest;
	/** Bytes. */
	readonly size: number;
	readonly annotations?: Readonly<Record<string, string>>;
}
