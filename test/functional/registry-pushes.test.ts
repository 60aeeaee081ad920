import { createHash, randomBytes } from "node:crypto";
import { CONTENT_TYPES, type Digest } from "@berth/contracts";
import { Repository } from "@berth/distribution";
import { expect, test } from "vitest";
import { Registry } from "../harness/registry.js";

const ROUNDS = 20;
const AT_ONCE = 6;

const [mediaType] = CONTENT_TYPES.manifest;
const blobOf = (bytes: Buffer) => ({
	digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest,
	size: bytes.length,
	read: async function* () {
		yield bytes;
	},
});

// A version's build fails whose image, or source, can't be pushed: of nodes that push the same at the same time all have to get it there.
test("the same blobs and manifest get to a registry from as many as push them at once", async () => {
	await using registry = await Registry.start();
	const access = { host: registry.host, origin: registry.setting };
	const config = blobOf(Buffer.from("{}"));
	for (let round = 0; round < ROUNDS; round++) {
		const layer = blobOf(randomBytes(2000));
		const described = [config, layer].map(({ digest, size }) => ({ mediaType: "application/octet-stream", digest, size }));
		const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: described[0], layers: [described[1]] }));
		const push = async () => {
			const repository = new Repository(access, "berth", "push");
			for (const blob of [config, layer])
				if (!(await repository.hasBlob(blob.digest))) await repository.putBlob(blob, blob.read, undefined);
			await repository.putManifest(`round-${round}`, { bytes, digest: blobOf(bytes).digest, mediaType });
		};
		const pushed = await Promise.allSettled(Array.from({ length: AT_ONCE }, push));
		expect(pushed.filter(({ status }) => status === "rejected")).toEqual([]);
	}
	// What isn't there at all is still said.
	const bytes = Buffer.from(
		JSON.stringify({ schemaVersion: 2, mediaType, config: { mediaType, ...blobOf(randomBytes(9)), read: undefined }, layers: [] }),
	);
	const refused = new Repository(access, "berth", "push").putManifest("none", { bytes, digest: blobOf(bytes).digest, mediaType });
	await expect(refused).rejects.toMatchObject({ code: "registry_failed", message: expect.stringContaining("MANIFEST_BLOB_UNKNOWN") });
});
