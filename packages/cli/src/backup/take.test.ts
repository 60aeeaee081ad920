import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadSettings, type Settings } from "@berth/config";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { takeBackup } from "./take.js";

let root: string;
let settings: Settings;
let server: RedisServer;
beforeAll(async () => {
	root = await mkdtemp("/var/tmp/take-");
	await chmod(root, 0o755);
	server = await RedisServer.start("--repl-diskless-sync-delay", "0");
	const given = loadSettings({ BERTH_DATA_DIR: join(root, "data") });
	const durableSocket = server.url.replace("unix://", "");
	settings = { ...given, durableRedisUrl: server.url, paths: { ...given.paths, durableSocket } };
	for (const part of ["sources", "functions", "keys", "oci", "queued", "results", "logs", "deliveries"])
		await mkdir(join(settings.paths.artifacts, part), { recursive: true });
	for (const path of [settings.paths.adminKey, settings.paths.secretsKey, join(settings.paths.artifacts, "sources/one")])
		await writeFile(path, "1");
});
afterAll(async () => {
	await server?.[Symbol.asyncDispose]();
	await rm(root, { recursive: true });
});

test("no key is in a backup, nor what a machine's copy mustn't have: its id as a node", async () => {
	await writeFile(settings.paths.nodeId, `node_${"0".repeat(16)}\n`);
	const { files } = await takeBackup(settings, join(root, "saved"));
	expect(files.map(({ path }) => path)).toEqual(["artifacts/sources/one", "durable.rdb"]);
});

test("it isn't taken into what it saves, by whatever name, nor where no directory is", async () => {
	await symlink(settings.dataDir, join(root, "link"));
	for (const place of ["data/one.tar", "link/one", "data/artifacts/one", "link"]) {
		const refused = place === "link" ? "is there already" : "is in the data directory that is to be saved";
		await expect(takeBackup(settings, join(root, place))).rejects.toThrow(refused);
	}
	await expect(takeBackup(settings, join(root, "no/such/one.tar"))).rejects.toThrow(`there is no directory ${root}/no/such`);
	await expect(takeBackup(settings, "")).rejects.toThrow("has no name");
});

test("one that is interrupted leaves nothing", async () => {
	const before = [await readdir(root), await readdir(settings.dataDir)];
	for (const name of ["stopped", "stopped.tar"]) {
		const taking = takeBackup(settings, join(root, name), AbortSignal.abort(new Error("stopped")));
		await expect(taking).rejects.toThrow("stopped");
	}
	expect([await readdir(root), await readdir(settings.dataDir)]).toEqual(before);
});
