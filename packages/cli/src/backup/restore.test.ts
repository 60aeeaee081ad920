import { chmod, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadSettings, type Settings } from "@berth/config";
import { sealingKeyId } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FILES, INVENTORY, takeInventory } from "./inventory.js";
import { restoreBackup } from "./restore.js";
import { run } from "./run.js";

let root: string;
let settings: Settings;
/** Everything that was in the data directory before. */
let before: readonly string[];
beforeEach(async () => {
	// Where others may search: a data directory is refused elsewhere.
	root = await mkdtemp("/var/tmp/restore-");
	await chmod(root, 0o755);
	settings = loadSettings({ BERTH_DATA_DIR: join(root, "data") });
	for (const path of [settings.paths.durableRedis, join(settings.paths.artifacts, "oci"), settings.paths.launcher])
		await mkdir(path, { recursive: true });
	await writeFile(join(settings.paths.durableRedis, "appendonly.aof"), "what was acknowledged");
	await writeFile(join(settings.paths.artifacts, "oci/index.json"), "{}");
	before = await held();
});
afterEach(() => rm(root, { recursive: true }));

const held = async () => {
	const entries = await readdir(settings.dataDir, { recursive: true, withFileTypes: true });
	return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
};

/** A backup of these files. @param unlisted what is in its inventory and not in it */
async function backup(files: Readonly<Record<string, string>>, unlisted: readonly string[] = []): Promise<string> {
	const place = join(root, "backup");
	for (const [path, text] of Object.entries(files)) {
		await mkdir(join(place, FILES, path, ".."), { recursive: true });
		await writeFile(join(place, FILES, path), text);
	}
	await writeFile(join(place, INVENTORY), JSON.stringify({ ...(await takeInventory(join(place, FILES))), sealed: SEALED }));
	for (const path of unlisted) await rm(join(place, FILES, path));
	return place;
}

/** Sealed with the keys 00… and 11…. */
const SEALED = ["00", "11"].map((byte) => ({
	of: `the login at ${byte}.example.com (project default)`,
	keyId: sealingKeyId(byte.repeat(32)),
}));

const WHOLE = { "durable.rdb": "records", "artifacts/oci/index.json": "images" };
const without = (path: string) => Object.fromEntries(Object.entries(WHOLE).filter(([name]) => name !== path));

test.each([
	["has no records", without("durable.rdb"), [], "durable.rdb isn't in it"],
	["has no images", without("artifacts/oci/index.json"), [], "artifacts isn't in it"],
	["lost its records on the way", WHOLE, ["durable.rdb"], "durable.rdb is missing"],
	["lost an image on the way", WHOLE, ["artifacts/oci/index.json"], "index.json is missing"],
])("a backup that %s is refused before anything is removed, also with --force", async (_what, files, lost, said) => {
	const place = await backup(files, lost);
	await expect(restoreBackup(settings, place, true)).rejects.toThrow(said);
	expect((await held()).filter((path) => before.includes(path))).toEqual(before);
	expect(await readFile(join(settings.paths.durableRedis, "appendonly.aof"), "utf8")).toBe("what was acknowledged");
});

test("a whole one takes the place of what was there, which stays without --force", async () => {
	const place = await backup(WHOLE);
	await expect(restoreBackup(settings, place, false)).rejects.toThrow("--force");
	expect((await held()).filter((path) => before.includes(path))).toEqual(before);
	await restoreBackup(settings, place, true);
	expect(await readFile(join(settings.paths.artifacts, "oci/index.json"), "utf8")).toBe("images");
	expect(await readdir(settings.paths.durableRedis)).toEqual(["appendonlydir"]);
});

test("keys stay what they are here, and what they don't open is said", async () => {
	const place = await backup(WHOLE);
	expect(await restoreBackup(settings, place, true)).toMatchObject({ unopenable: SEALED, keyIds: [] });
	await writeFile(settings.paths.secretsKey, `${"11".repeat(32)}\n`);
	expect(await restoreBackup(settings, place, true)).toMatchObject({ unopenable: SEALED.slice(0, 1), keyIds: [SEALED[1]?.keyId] });
	expect(await readFile(settings.paths.secretsKey, "utf8")).toBe(`${"11".repeat(32)}\n`);
	expect((await restoreBackup({ ...settings, secretsKey: "00".repeat(32) }, place, true)).unopenable).toEqual(SEALED.slice(1));
});

describe("what can't be restored leaves nothing of a data directory that wasn't there", () => {
	const elsewhere = () => loadSettings({ BERTH_DATA_DIR: join(root, "deep/new") });
	test.each([
		["isn't there", undefined, /nothing.tar can't be restored: there is no such file/],
		["is no tar", "root:x:0:0", /nothing.tar can't be read as a backup: tar: This does not look like a tar archive$/],
		["is cut", "cut", /can't be read as a backup: tar: Unexpected EOF in archive$/],
	])("when it %s, which is said", async (_which, content, said) => {
		const place = join(root, "nothing.tar");
		if (content === "cut") {
			await run("tar", [
				"--create",
				"--file",
				place,
				"--directory",
				await backup({ ...WHOLE, "artifacts/large": "x".repeat(50_000) }),
				INVENTORY,
				FILES,
			]);
			await truncate(place, 20_000);
		} else if (content !== undefined) await writeFile(place, content.repeat(100));
		await expect(restoreBackup(elsewhere(), place, false)).rejects.toThrow(said);
		expect(await readdir(root)).not.toContain("deep");
	});
});
