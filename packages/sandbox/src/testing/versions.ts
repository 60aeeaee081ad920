import { type Base, type Digest, type ImageReference, type ManifestInput, manifestSchema } from "@berth/contracts";
import type { Specialisation } from "../version-target.js";

/** A digest that ends in these digits. */
export const digest = (digits: string): Digest => `sha256:${digits.padStart(64, "0")}`;

export const BASE: Base = { digest: digest("ba5e"), layers: [{ digest: digest("1"), sizeBytes: 1 }] };
export const OTHER_BASE: Base = { digest: digest("ba5e2"), layers: [{ digest: digest("2"), sizeBytes: 1 }] };
const IMAGE: ImageReference = { digest: digest("10"), base: BASE, layers: [{ digest: digest("11"), sizeBytes: 1 }], entry: "index.mjs" };

/** Version 1 of a function. */
export function version(name: string, manifest: ManifestInput = {}): Specialisation {
	return {
		key: `default/${name}:1`,
		project: "default",
		function: name,
		version: 1,
		image: IMAGE,
		manifest: manifestSchema.parse(manifest),
	};
}
