import { execFile } from "node:child_process";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deploy } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";
import type { Stack } from "../harness/stack.js";

const run = promisify(execFile);

let stack: Stack;
let directory: string;
beforeAll(async () => {
	stack = await sharedStack();
	directory = await mkdtemp(join(tmpdir(), "store-"));
	await chmod(directory, 0o755);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const layout = () => join(stack.dataDir, "artifacts/oci");

describe("the image layout on disk", () => {
	it("is read by skopeo: labels, layers and digest are the version's", async () => {
		const { name, version } = await deploy(stack, { source: "export default () => 1;" });
		const image = `oci:${layout()}:default/${name}:1`;
		const seen = JSON.parse((await run("skopeo", ["inspect", image])).stdout);
		expect(seen).toMatchObject({
			Digest: version.image?.digest,
			Os: "linux",
			Layers: [...(version.image?.base.layers ?? []), ...(version.image?.layers ?? [])].map(({ digest }) => digest),
		});
		expect(JSON.parse(seen.Labels["dev.berth.manifest"])).toEqual(version.manifest);
		await run("skopeo", ["copy", image, `dir:${join(directory, "copied")}`]);
		expect(await readdir(join(directory, "copied"))).toHaveLength(2 + seen.Layers.length + 1);
	});

	it("is unpacked by umoci: a root file system with Node, agent and the function's code", async () => {
		const { name, version } = await deploy(stack, { source: "export default () => 'umoci';" });
		const bundle = join(directory, "bundle");
		await run("umoci", ["unpack", "--image", `${layout()}:default/${name}:1`, bundle], { maxBuffer: 1 << 24 });
		const root = join(bundle, "rootfs");
		expect(await readdir(join(root, "usr/bin"))).toContain("node");
		expect(await readFile(join(root, "function/code", version.image?.entry ?? ""), "utf8")).toContain("umoci");
		expect(JSON.parse(await readFile(join(bundle, "config.json"), "utf8")).process.user).toMatchObject({ uid: 1000, gid: 1000 });
	});
});
