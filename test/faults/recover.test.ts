import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ApiError } from "@berth/client";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy } from "../harness/functions.js";
import { Stack } from "../harness/stack.js";

let stack: Stack;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_PREWARMED: "0" });
});
afterAll(async () => {
	await stack?.stop();
});

it("functions, versions, sources and what is live come back from the store when the durable Redis is lost", async () => {
	const said = (text: string) => `export default () => "${text}";`;
	await deploy(stack, { name: "greets", source: said("one") });
	await deploy(stack, { name: "greets", source: said("two"), memoryMiB: 64, env: { A: "S3cret" } });
	await deploy(stack, { name: "other", source: said("other") });
	// Forth and back: a rollback would lead to the first again.
	for (const version of [1, 2]) await stack.client.setAlias("greets", "stable", { weights: { [version]: 100 } });
	await stack.client.setAlias("greets", "canary", { weights: { 1: 40, 2: 60 } });
	const before = await stack.client.versions("greets");

	// What it is made of says what it needs, and tells nobody else.
	const blobs = join(stack.dataDir, "artifacts/oci/blobs/sha256");
	const { config } = JSON.parse(
		await readFile(join(blobs, before.find(({ number }) => number === 2)?.image?.digest.slice("sha256:".length) ?? ""), "utf8"),
	);
	const labels = await readFile(join(blobs, config.digest.slice("sha256:".length)), "utf8");
	expect([labels.includes("dev.berth.env"), labels.includes("S3cret")]).toEqual([true, false]);

	await stack.down();
	await rm(join(stack.dataDir, "redis/durable"), { recursive: true });
	await stack.up();
	expect(await readFile(join(stack.dataDir, "logs/supervisor.log"), "utf8")).toContain("`berth recover` brings them back");

	// Of a function that isn't on record nobody can say that there is none.
	const { client } = stack;
	for (const ask of [() => client.list(), () => client.invoke("greets"), () => client.aliases("greets")])
		await expect(ask()).rejects.toMatchObject({ problem: { code: "store_unrecovered" } });
	expect(JSON.parse((await stack.berth("doctor", "--json")).stdout).checks).toContainEqual(
		expect.objectContaining({ name: "durable Redis: records", status: "warning" }),
	);
	// A new version would take the number of one that is only in the store.
	const refusal = await stack.client.deploy("greets", { source: said("three") }).catch((error: unknown) => error);
	expect((refusal as ApiError).problem).toMatchObject({
		code: "store_unrecovered",
		status: 503,
		detail: expect.stringContaining("berth recover"),
	});
	// What would remove images that no function has finds out first that the functions are lost.
	await stack.killAndAwaitNext("worker");
	await eventually(() => stack.client.sandboxes());

	const recovery = await eventually(async () => {
		const ended = await stack.berth("recover", "--json");
		expect(ended.code).toBe(0);
		return JSON.parse(ended.stdout);
	});
	expect(recovery.lost).toEqual([]);
	expect(recovery.recovered).toHaveLength(3);
	const after = await stack.client.versions("greets");
	const whatCounts = (versions: typeof before) =>
		versions.map(({ number, state, manifest, source, image, createdAt }) => ({ number, state, manifest, source, image, createdAt }));
	expect(whatCounts(after)).toEqual(whatCounts(before));
	expect((await stack.client.get("greets")).live).toBe(2);
	expect((await stack.client.get("greets")).aliases).toMatchObject([
		{ name: "live", weights: { 2: 100 }, follows: true },
		{ name: "canary", weights: { 1: 40, 2: 60 }, follows: false },
		{ name: "stable", weights: { 2: 100 }, follows: false, previous: 1 },
	]);
	expect((await stack.client.invoke("greets")).raw.body.toString()).toBe("two");
	expect((await stack.client.invoke("other")).raw.body.toString()).toBe("other");
	expect(String(await stack.client.source("greets", 1))).toBe(said("one"));

	expect(JSON.parse((await stack.berth("recover", "--json")).stdout)).toEqual({ recovered: [], present: 3, lost: [] });
	expect((await deploy(stack, { name: "greets", source: said("three") })).version.number).toBe(3);
	expect((await stack.client.invoke("greets")).raw.body.toString()).toBe("three");
});
