import { manifestSchema, type Version } from "@berth/contracts";
import { expect, test } from "vitest";
import { codeLayerKey } from "./code-layer.js";

test("the key of a code layer depends on what the bundle does, and on nothing else", () => {
	const version = {
		manifest: manifestSchema.parse({}),
		source: { digest: `sha256:${"0".repeat(64)}`, kind: "file", filename: "index.ts", sizeBytes: 1 },
	} as const;
	const key = (more: Partial<Version>, builder = "b") => codeLayerKey({ ...version, ...more }, builder);
	const same = key({});
	expect(key({ manifest: { ...version.manifest, memoryMiB: 512, env: { A: "1" } } })).toBe(same);
	const others = [
		key({}, "another"),
		key({ manifest: { ...version.manifest, runtime: "node22" } }),
		key({ manifest: { ...version.manifest, entry: "a.ts" } }),
		key({ manifest: { ...version.manifest, external: ["a"] } }),
		key({ source: { ...version.source, filename: "index.js" } }),
		key({ source: { ...version.source, kind: "zip" } }),
		key({ source: { ...version.source, digest: `sha256:${"f".repeat(64)}` } }),
	];
	expect(new Set([same, ...others]).size).toBe(8);
});
