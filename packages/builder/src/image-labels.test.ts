import { type Base, IMAGE_LABELS, manifestSchema } from "@berth/contracts";
import { Vault } from "@berth/registry";
import { expect, test } from "vitest";
import { imageLabels, labelledManifest } from "./image-labels.js";

const vault = new Vault("ab".repeat(32));
const base: Base = { digest: `sha256:${"0".repeat(64)}`, layers: [] };
const source = { digest: base.digest, kind: "file", sizeBytes: 1 } as const;
const manifest = manifestSchema.parse({ env: { TOKEN: "s3cr3t" } });
const labels = imageLabels({ project: "default", manifest, source }, base, "index.cjs", vault);
const read = {
	manifest: manifestSchema.parse(JSON.parse(labels[IMAGE_LABELS.manifest] ?? "")),
	sealedEnv: labels[IMAGE_LABELS.env] ?? "",
};

test("an image's labels don't show a function's variables, and are the same for the same deploy", () => {
	expect(JSON.stringify(labels)).not.toMatch(/s3cr3t|TOKEN/);
	expect(imageLabels({ project: "default", manifest, source }, base, "index.cjs", vault)).toEqual(labels);
	expect(imageLabels({ project: "default", manifest: { ...manifest, env: {} }, source }, base, "index.cjs", vault)).not.toHaveProperty(
		IMAGE_LABELS.env,
	);
});

test("they are read back by the stack that sealed them, for the same project alone; else what is missing is said", () => {
	expect(labelledManifest(read, "default", vault)).toEqual({ manifest, lacksEnv: false });
	const without = { manifest: { ...manifest, env: {} }, lacksEnv: true };
	expect(labelledManifest(read, "other", vault)).toEqual(without);
	expect(labelledManifest(read, "default", new Vault("cd".repeat(32)))).toEqual(without);
	expect(labelledManifest({ manifest: read.manifest }, "default", vault)).toEqual({ manifest: read.manifest, lacksEnv: false });
});
