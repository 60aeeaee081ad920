import { type ImageReference, manifestSchema, type Version } from "@berth/contracts";

const DIGEST = `sha256:${"0".repeat(64)}` as const;
const IMAGE: ImageReference = { digest: DIGEST, base: { digest: DIGEST, layers: [] }, layers: [], entry: "index.mjs" };

/** Version 1 of a function, ready. */
export function ready(name: string): Version & { readonly image: ImageReference } {
	return {
		project: "default",
		function: name,
		number: 1,
		state: "ready",
		manifest: manifestSchema.parse({}),
		source: { digest: DIGEST, kind: "file", sizeBytes: 1 },
		image: IMAGE,
		createdAt: "2026-01-01T00:00:00.000Z",
	};
}
