import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings, type Settings } from "@berth/config";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureSecretsKey } from "./secrets-key.js";

/** No user of any system: giving a file to it fails, as whatever cuts a start short would. */
const NOBODYS_UID = -2;

let directory: string;
let settings: Settings;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-secrets-"));
	settings = loadSettings({ BERTH_DATA_DIR: directory });
});
afterEach(() => rm(directory, { recursive: true }));

const key = () => readFile(settings.paths.secretsKey, "utf8");

test("the key is 32 bytes, the service user's alone, and stays what it is", async () => {
	await ensureSecretsKey(settings);
	const made = await key();
	expect(made).toMatch(/^[0-9a-f]{64}\n$/);
	const { mode, uid } = await stat(settings.paths.secretsKey);
	expect([mode & 0o777, uid]).toEqual([0o600, settings.serviceUid]);
	await ensureSecretsKey(settings);
	expect(await key()).toBe(made);
	expect(await readdir(directory)).toEqual(["secrets.key"]);
});

test("a start that is cut short leaves no key that is less than whole: the next one makes it", async () => {
	await expect(ensureSecretsKey({ ...settings, serviceUid: NOBODYS_UID })).rejects.toThrow();
	expect(await readdir(directory)).toEqual([]);
	await ensureSecretsKey(settings);
	expect(await key()).toHaveLength(65);
});

test("an operator's own key is the only one", async () => {
	await ensureSecretsKey({ ...settings, secretsKey: "00".repeat(32) });
	expect(await readdir(directory)).toEqual([]);
});

test("one that is there is never replaced, whatever is in it: secrets may be sealed with it", async () => {
	await writeFile(settings.paths.secretsKey, "not ours");
	await ensureSecretsKey(settings);
	expect(await key()).toBe("not ours");
	const { mode, uid } = await stat(settings.paths.secretsKey);
	expect([mode & 0o777, uid]).toEqual([0o600, settings.serviceUid]);
});
