import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ApiError } from "@berth/client";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, freshName } from "../harness/functions.js";
import { dropUnpacked } from "../harness/layers.js";
import { Stack } from "../harness/stack.js";

const run = promisify(execFile);
const MIB = 1024 * 1024;
const KIB = 1024;
/** The bases alone have some 350 MiB, packed and unpacked. */
const DISKS: Readonly<Record<string, string>> = { artifacts: "640m", launcher: "640m", redis: "64m" };

let stack: Stack;
let echo: Deployed;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_PREWARMED: "1", BERTH_PREWARMED_BUILDS: "1" }, async (dataDir) => {
		for (const [name, size] of Object.entries(DISKS)) {
			await mkdir(join(dataDir, name));
			await run("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", join(dataDir, name)]);
		}
	});
	echo = await deploy(stack, { source: "export default (event) => (typeof event === 'number' ? 'x'.repeat(event) : event);" });
});
afterAll(async () => {
	if (stack === undefined) return;
	await stack.down();
	const mounted = Object.keys(DISKS).map((name) => join(stack.dataDir, name));
	for (const path of mounted) await run("umount", [path]);
	await stack.stop(mounted);
});
afterEach(async () => {
	for (const name of Object.keys(DISKS)) await space(name);
});

const filler = (disk: string) => join(stack.dataDir, disk, "filler");

/** Leaves so many bytes free on a disk. */
async function fill(disk: string, leftBytes: number): Promise<void> {
	await using file = await open(filler(disk), "w");
	for (;;) {
		const { bavail, bsize } = await statfs(join(stack.dataDir, disk));
		const bytes = Math.min(bavail * bsize - leftBytes, 8 * MIB);
		if (bytes <= 0) return;
		await file.write(Buffer.alloc(bytes));
	}
}

const space = (disk: string) => rm(filler(disk), { force: true });

async function problemOf(asking: Promise<unknown>): Promise<unknown> {
	const error = await asking.then(
		(value) => value,
		(cause: unknown) => cause,
	);
	if (!(error instanceof ApiError)) throw new Error(`it was taken: ${JSON.stringify(error)}`);
	return error.problem;
}

/** A source of so many characters that nothing else has. */
const sourceOf = (length: number) => `export default () => ${JSON.stringify(randomBytes(length / 2).toString("hex"))};`;
const incoming = async () => [
	...(await readdir(join(stack.dataDir, "artifacts/incoming"))),
	...(await readdir(join(stack.dataDir, "launcher/incoming"))),
	...(await readdir(join(stack.dataDir, "launcher/layers"))).filter((name) => name.includes(".")),
];

it("a full disk of the artifact store refuses what needs it with storage_full, keeps nothing half, and serves what doesn't", async () => {
	const large = { json: "y".repeat(300 * KIB) };
	await fill("artifacts", 0);
	expect(await problemOf(stack.client.deploy(freshName(), { source: sourceOf(8 * KIB) }))).toMatchObject({
		code: "storage_full",
		status: 507,
	});
	expect(await problemOf(stack.client.invokeAsync(echo.name, large))).toMatchObject({ code: "storage_full", status: 507 });
	expect(await problemOf(stack.client.invoke(echo.name, large))).toMatchObject({ code: "storage_full", status: 507 });
	expect((await stack.client.invoke(echo.name, { json: 300 * KIB })).problem).toMatchObject({ code: "storage_full", status: 507 });
	expect(await echo.result("small")).toBe("small");
	await eventually(async () => expect(await incoming()).toEqual([]));
	await space("artifacts");
	expect(await echo.result(large.json)).toBe(large.json);
	expect((await deploy(stack, { source: sourceOf(8 * KIB) })).version.state).toBe("ready");
});

it("a build that fills the disk fails with storage_full, and is built when there is space", async () => {
	const source = sourceOf(64 * KIB);
	const name = freshName();
	await fill("artifacts", 100 * KIB);
	expect(await problemOf(stack.client.deploy(name, { source }))).toMatchObject({ code: "storage_full", status: 507, version: 1 });
	await eventually(async () => expect(await incoming()).toEqual([]));
	await space("artifacts");
	expect((await stack.client.deploy(name, { source })).version).toMatchObject({ number: 2, state: "ready" });
});

it("a full disk of the launcher fails starts that need it, and nothing else; they succeed when there is space", async () => {
	const other = await deploy(stack, { source: sourceOf(256 * KIB) });
	await dropUnpacked(stack);
	await fill("launcher", 64 * KIB);
	expect((await other.invoke()).problem).toMatchObject({ code: "storage_full", fault: "platform", retryable: true });
	expect(await echo.result("warm")).toBe("warm");
	await eventually(async () => expect(await incoming()).toEqual([]));
	await space("launcher");
	expect(await other.result()).toHaveLength(256 * KIB);
});

it("a full disk of the launcher has no room for a volume, which leaves nothing; one that is there is as large as it was made", async () => {
	const mine = freshName("mine");
	await stack.client.makeVolume(mine, { sizeMiB: 32 });
	const source = `import { writeFileSync } from "node:fs"; export default () => { writeFileSync("/mnt/${mine}/x", Buffer.alloc(16 << 20, 1)); return "written"; };`;
	const writes = await deploy(stack, { source, volumes: [{ name: mine }] });
	expect(await writes.result()).toBe("written");
	await fill("launcher", 8 * MIB);
	expect(await problemOf(stack.client.makeVolume("more", { sizeMiB: 32 }))).toMatchObject({ code: "storage_full", status: 507 });
	expect((await stack.client.volumes()).map(({ name }) => name)).toEqual([mine]);
	expect(await writes.result()).toBe("written");
	await space("launcher");
	await stack.client.makeVolume("more", { sizeMiB: 32 });
});

it("a full disk of the Redis servers refuses what would be acknowledged, loses nothing that was, and mends itself", async () => {
	const { id } = await stack.client.invokeAsync(echo.name, { json: "kept" });
	await eventually(async () => expect((await stack.client.invocation(id)).state).toBe("settled"));
	await fill("redis", 0);
	// What fits into the last page of a file is still taken: then it is kept, as a 202 says.
	const taken = [id];
	await eventually(async () => {
		for (;;) taken.push((await stack.client.invokeAsync(echo.name, { json: "z".repeat(2 * KIB) })).id);
	}, 0).catch(({ cause }) => {
		expect((cause as ApiError).problem).toMatchObject({ code: "unavailable", status: 503 });
	});
	await space("redis");
	await eventually(async () => expect(await echo.result("again")).toBe("again"), 60_000);
	for (const each of taken) await eventually(async () => expect((await stack.client.invocation(each)).state).toBe("settled"), 60_000);
});
