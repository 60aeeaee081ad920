import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { Deployed, deploy, fixture, freshName } from "../harness/functions.js";
import { cgroupsOf, leftoversOf, processesOf, sandboxCgroupsOf } from "../harness/leftovers.js";
import { Stack } from "../harness/stack.js";

let stack: Stack;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_PREWARMED: "1" });
});
afterAll(async () => {
	await stack?.stop();
});

/** Inode and time of every blob: a blob that was written again has others. */
function blobs(): Readonly<Record<string, string>> {
	const directory = join(stack.dataDir, "artifacts", "oci", "blobs", "sha256");
	return Object.fromEntries(
		readdirSync(directory).map((name) => {
			const { ino, mtimeMs } = statSync(join(directory, name));
			return [name, `${ino} ${mtimeMs}`];
		}),
	);
}

/** Takes a function's layer away from where it is unpacked, and puts as many wrong bytes into its blob. */
async function damage({ version }: Deployed): Promise<void> {
	const digest = version.image?.layers.at(-1)?.digest.slice("sha256:".length) ?? "";
	const path = join(stack.dataDir, "artifacts", "oci", "blobs", "sha256", digest);
	const { size } = statSync(path);
	await stack.down();
	for (const name of readdirSync(join(stack.dataDir, "launcher", "layers"))) {
		if (digest.startsWith(name)) rmSync(join(stack.dataDir, "launcher", "layers", name), { recursive: true });
	}
	writeFileSync(path, Buffer.alloc(size, 0x41));
	await stack.up();
}

async function builderStarts(): Promise<number> {
	const [node] = await stack.client.stats();
	return node?.builds.bundled ?? Number.NaN;
}

describe("a stack that is taken down", () => {
	it("was seen by what looks for leftovers, and leaves none; up again it has the key that it had, and makes no other", async () => {
		await deploy(stack, { source: fixture("counts") }).then((deployed) => deployed.invoke());
		expect(cgroupsOf(stack.dataDir).length).toBeGreaterThan(0);
		expect(sandboxCgroupsOf(stack.dataDir).length).toBeGreaterThan(4);
		expect(processesOf(stack.dataDir).length).toBeGreaterThan(6);
		expect(leftoversOf(stack.dataDir).some((text) => text.startsWith("mount "))).toBe(true);
		await stack.down();
		expect(leftoversOf(stack.dataDir)).toEqual([]);
		const log = join(stack.dataDir, "logs", "supervisor.log");
		const { length } = readFileSync(log, "utf8");
		expect(await stack.up()).toEqual({ madeKey: false });
		expect(Array.isArray(await stack.client.list())).toBe(true);
		// What takes time is said, and only when it is done.
		const said = readFileSync(log, "utf8").slice(length);
		expect(said).toContain("booting the first sandboxes");
		expect(said).not.toContain("making the base images");
	});

	it("has everything that was deployed when it is up again, without building it again", async () => {
		const name = freshName();
		await stack.client.deploy(name, { source: "export default () => 'one';", env: { A: "1" } });
		await stack.client.deploy(name, { source: "export default () => 'two';", memoryMiB: 256 });
		const background = await stack.client.invokeAsync(name);
		const [list, versions, before] = [await stack.client.list(), await stack.client.versions(name), blobs()];
		await stack.down();
		await stack.up();
		expect(await stack.client.list()).toEqual(list);
		expect(await stack.client.versions(name)).toEqual(versions);
		expect((await stack.client.invoke(name)).raw.body.toString()).toBe("two");
		expect(await stack.client.invocation(background.id)).toMatchObject({ id: background.id, lane: "background" });
		expect(blobs()).toEqual(before);
		expect(await builderStarts()).toBe(0);
	});
});

describe("a layer that is there", () => {
	const SOURCE = "export default () => 'built once';";

	it("isn't built again: not for the same deploy, not for other limits, not under another name, not after a restart", async () => {
		const first = await deploy(stack, { source: SOURCE });
		const digest = first.version.image?.layers.at(-1)?.digest;
		const before = blobs();
		const starts = await builderStarts();
		const again = await stack.client.deploy(first.name, { source: SOURCE });
		expect(again.unchanged).toBe(true);
		const other = await deploy(stack, { name: first.name, source: SOURCE, memoryMiB: 256 });
		const named = await deploy(stack, { source: SOURCE });
		for (const { version } of [other, named]) {
			expect(version.image?.layers.at(-1)?.digest).toBe(digest);
			expect(version.build?.layers).toContainEqual(expect.objectContaining({ name: "code", cached: true }));
		}
		expect(await builderStarts()).toBe(starts);
		await stack.down();
		await stack.up();
		const after = await deploy(stack, { source: SOURCE, timeoutMs: 5000 });
		expect(after.version.image?.layers.at(-1)?.digest).toBe(digest);
		expect(await builderStarts()).toBe(0);
		expect(await after.result()).toBe("built once");
		const now = blobs();
		expect(Object.fromEntries(Object.keys(before).map((name) => [name, now[name]]))).toEqual(before);
	});

	it("gives the same digest when it is built from nothing, on another stack", async () => {
		await using other = await Stack.start({ BERTH_PREWARMED: "0", BERTH_PREWARMED_BUILDS: "0" });
		const files = [
			{ path: "index.ts", body: "import { a } from './a.js';\nexport default (): string => a;" },
			{ path: "a.ts", body: "export const a: string = 'a';" },
		];
		const deployed = await Promise.all(
			[stack, other].map(async (each) => {
				const { version } = await each.client.deployArchive("reproducible", {
					kind: "tar.gz",
					bytes: tarGz(...files),
				});
				return new Deployed(each, "reproducible", version);
			}),
		);
		expect(await Promise.all(deployed.map((each) => each.result()))).toEqual(["a", "a"]);
		const [here, there] = deployed.map(({ version }) => version.image);
		expect(there?.layers).toEqual(here?.layers);
		expect(there?.base).toEqual(here?.base);
		expect(there?.digest).toBe(here?.digest);
		const { version } = await other.client.deployArchive("reordered", { kind: "tar.gz", bytes: tarGz(...files.toReversed()) });
		expect(version.image?.layers).toEqual(here?.layers);
	});

	it("that was damaged on disk is noticed by its digest: no wrong code is ever run, and the same deploy mends it", async () => {
		const input = { source: `export default () => ${JSON.stringify(freshName())};` };
		const deployed = await deploy(stack, input);
		const result = await deployed.result();
		await damage(deployed);
		const answer = await stack.client.invoke(deployed.name);
		expect(answer.outcome).not.toBe("succeeded");
		expect(answer.problem?.fault).toBe("platform");
		const { version, unchanged } = await stack.client.deploy(deployed.name, input);
		expect([unchanged, version.number]).toEqual([false, 2]);
		expect(version.image?.layers).toEqual(deployed.version.image?.layers);
		expect(await deployed.result()).toBe(result);
	});

	it("that was damaged and not read since is made again by the build that needs it", async () => {
		const source = `export default () => ${JSON.stringify(freshName())};`;
		const deployed = await deploy(stack, { source });
		const result = await deployed.result();
		await damage(deployed);
		const other = await deploy(stack, { source, timeoutMs: 5000 });
		expect(other.version.image?.layers).toEqual(deployed.version.image?.layers);
		expect(await other.result()).toBe(result);
	});
});
