import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FunctionSummary } from "@berth/contracts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Deposit } from "./deposit.js";
import { FunctionStore } from "./function-store.js";

let directory: string;
let store: FunctionStore;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "functions-"));
	const deposit = await Deposit.open(join(directory, "incoming"), undefined);
	store = await FunctionStore.open(join(directory, "functions"), deposit);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const summary = (name: string, latest = 1): FunctionSummary => ({
	project: "default",
	name,
	live: latest,
	aliases: [{ name: "live", weights: { [latest]: 100 }, follows: true, updatedAt: "2026-01-01T00:00:00.000Z" }],
	latest,
	createdAt: "2026-01-01T00:00:00.000Z",
	updatedAt: "2026-01-01T00:00:00.000Z",
});
const pathOf = (name: string) => join(directory, "functions", "default", `${name}.json`);

test("a function is there as it was put last, until it is removed", async () => {
	await store.put(summary("a"));
	await store.put(summary("b"));
	await store.put(summary("a", 2));
	expect([...(await store.list())].sort((x, y) => (x.name < y.name ? -1 : 1))).toEqual([summary("a", 2), summary("b")]);
	await store.remove("default", "a");
	await store.remove("default", "a");
	expect(await store.list()).toEqual([summary("b")]);
});

test("what is there already isn't written again", async () => {
	await store.put(summary("a"));
	const { ino } = await stat(pathOf("a"));
	await store.put(summary("a"));
	expect((await stat(pathOf("a"))).ino).toBe(ino);
});

test.each([["{"], ['{"shape":2}']])("a file that holds %s is named, not passed over", async (text) => {
	await store.put(summary("a"));
	await writeFile(pathOf("a"), text);
	await expect(store.list()).rejects.toMatchObject({ code: "platform_error", message: expect.stringContaining(pathOf("a")) });
});

test("a name that is none leads nowhere", async () => {
	await expect(store.put(summary("../../x"))).rejects.toMatchObject({ code: "platform_error" });
	await expect(store.remove("..", "x")).rejects.toMatchObject({ code: "platform_error" });
	expect(await readdir(join(directory, "functions"))).toEqual([]);
});
