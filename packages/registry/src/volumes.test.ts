import { type Digest, type Manifest, manifestSchema } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { FunctionRegistry } from "./function-registry.js";

const NODE = "node_1";
const SOURCE = { digest: `sha256:${"a".repeat(64)}` as Digest, kind: "file", sizeBytes: 1 } as const;
const WITH: Manifest = manifestSchema.parse({ volumes: [{ name: "data" }] });

let server: RedisServer;
let registry: FunctionRegistry;
beforeAll(async () => {
	server = await RedisServer.start();
});
beforeEach(async () => {
	registry = await FunctionRegistry.open(server.url);
});
afterEach(async () => {
	await registry.close();
	await server.empty();
});
afterAll(() => server[Symbol.asyncDispose]());

async function make(project: string, name = "data", sizeMiB = 16): Promise<void> {
	await registry.volumes.begin(project, name, { sizeMiB, node: NODE });
	await registry.volumes.made(project, name);
}
const deploy = (project: string, manifest = WITH) => registry.createVersion(project, "f", manifest, SOURCE);
const states = async (project: string) => (await registry.volumes.list(project)).map(({ name, state }) => [name, state]);

describe("a volume", () => {
	it("is a deploy's to name once its node has made it, not before, and in no other project", async () => {
		await registry.volumes.begin("one", "data", { sizeMiB: 16, node: NODE });
		await expect(deploy("one")).rejects.toMatchObject({ code: "volume_not_found" });
		await registry.volumes.made("one", "data");
		expect((await deploy("one")).version.manifest.volumes).toEqual([{ name: "data" }]);
		await expect(deploy("other")).rejects.toMatchObject({ code: "volume_not_found", issues: [{ field: "volumes" }] });
		await make("other");
		const [ours, theirs] = [await registry.volumes.get("one", "data"), await registry.volumes.get("other", "data")];
		expect(ours.id).not.toBe(theirs.id);
		expect([ours.functions, theirs.functions]).toEqual([["f"], []]);
	});

	it("stays as it was made, whoever asks for it again; of which its node never made one nothing is left", async () => {
		await make("one");
		expect(await registry.volumes.begin("one", "data", { sizeMiB: 32, node: "node_2" })).toMatchObject({
			sizeMiB: 16,
			node: NODE,
			state: "ready",
		});
		await registry.volumes.notMade("one", "data");
		await registry.volumes.begin("one", "never", { sizeMiB: 16, node: NODE });
		await registry.volumes.notMade("one", "never");
		expect(await states("one")).toEqual([["data", "ready"]]);
	});

	it("is kept while a version has it, and no version gets it once its removal has begun", async () => {
		await make("one");
		const { version } = await deploy("one");
		await expect(registry.volumes.beginRemoval("one", "data")).rejects.toMatchObject({
			code: "volume_in_use",
			extra: { functions: ["f"] },
		});
		await registry.endBuild(version, {
			state: "failed",
			failure: { code: "build_failed", phase: "bundle", message: "no", diagnostics: [] },
			build: { durationMs: 1, phases: {}, layers: [], warnings: [] },
		});
		await registry.volumes.beginRemoval("one", "data");
		await expect(deploy("one")).rejects.toMatchObject({ code: "volume_not_found" });
		await expect(registry.volumes.made("one", "data")).rejects.toMatchObject({ code: "volume_not_found" });
		expect(await states("one")).toEqual([["data", "removing"]]);
		await registry.volumes.beginRemoval("one", "data");
		await registry.volumes.removed("one", "data");
		await expect(registry.volumes.beginRemoval("one", "data")).rejects.toMatchObject({ code: "volume_not_found" });
	});

	it("is refused beyond a hundred", async () => {
		for (let at = 0; at < 100; at++) await registry.volumes.begin("one", `v${at}`, { sizeMiB: 16, node: NODE });
		await expect(registry.volumes.begin("one", "more", { sizeMiB: 16, node: NODE })).rejects.toMatchObject({ code: "invalid_request" });
		expect((await registry.volumes.begin("one", "v7", { sizeMiB: 16, node: NODE })).state).toBe("making");
	});
});
