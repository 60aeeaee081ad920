import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings, nodeIdBefore, nodeIdOf, type Settings } from "@berth/config";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkDataDirectory } from "../doctor/data-directory.js";
import { ensureNodeId } from "./node-id.js";

let directory: string;
let settings: Settings;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-node-id-"));
	settings = loadSettings({ BERTH_DATA_DIR: directory });
	await mkdir(settings.paths.run);
});
afterEach(() => rm(directory, { recursive: true }));

test("a new data directory has an id by chance, which stays, and which workers of the service user can read", async () => {
	const id = await ensureNodeId(settings);
	expect(id).toMatch(/^node_[0-9a-f]{16}$/);
	expect(id).not.toBe(nodeIdBefore(directory));
	expect([await ensureNodeId(settings), nodeIdOf(settings)]).toEqual([id, id]);
	expect((await stat(settings.paths.nodeId)).mode & 0o777).toBe(0o644);
	expect(await checkDataDirectory(settings)).toContainEqual(expect.objectContaining({ name: "node", found: expect.stringContaining(id) }));
});

test("a data directory from before ids were kept has the one that it had; once that is removed it gets another", async () => {
	await writeFile(settings.paths.bases, "{}");
	expect(await ensureNodeId(settings)).toBe(nodeIdBefore(directory));
	await writeFile(settings.paths.incarnation, "1\n");
	expect(await ensureNodeId(settings)).toBe(nodeIdBefore(directory));
	await rm(settings.paths.nodeId);
	expect(await ensureNodeId(settings)).not.toBe(nodeIdBefore(directory));
});

test("what is no id is refused by the file's name, and left as it is", async () => {
	await writeFile(settings.paths.nodeId, "node_\n");
	await expect(ensureNodeId(settings)).rejects.toThrow(`${settings.paths.nodeId} has no id of a node`);
	expect(await readFile(settings.paths.nodeId, "utf8")).toBe("node_\n");
	expect(await checkDataDirectory(settings)).toContainEqual(expect.objectContaining({ name: "node", status: "failed" }));
});
