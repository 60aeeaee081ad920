import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings, type Settings } from "@berth/config";
import { sealedAs, sealText } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { askRedis } from "../doctor/redis-connection.js";
import { checkSealingKey } from "../doctor/sealing-key.js";
import { ensureSecretsKey, secretsKeyObstacle } from "./secrets-key.js";

/** No user of any system: giving a file to it fails, as whatever cuts a start short would. */
const NOBODYS_UID = -2;

const [KEY, ANOTHER] = ["ab".repeat(32), "cd".repeat(32)];

let redis: RedisServer;
beforeAll(async () => {
	redis = await RedisServer.start();
});
afterAll(() => redis[Symbol.asyncDispose]());

let directory: string;
let settings: Settings;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-secrets-"));
	settings = loadSettings({ BERTH_DATA_DIR: directory, BERTH_DURABLE_REDIS_URL: redis.url });
});
afterEach(async () => {
	await askRedis(redis.url, [["FLUSHALL"]]);
	await rm(directory, { recursive: true });
});

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

const sealedIn = (key: string, as: string) => JSON.stringify({ sealed: sealText("hush", as, key, randomBytes(12)) });

/** What the registry keeps of a secret and of what callbacks are signed with. */
async function seal(key: string): Promise<void> {
	await askRedis(redis.url, [
		["HSET", "{berth}:secrets:default", "A", sealedIn(key, sealedAs.secret("default", "A"))],
		["SET", "{berth}:callback-secret:default", `{"current":${sealedIn(key, sealedAs.callbacks("default"))}}`],
	]);
}

/** The same of a login and of a hook's secrets. */
async function sealOthers(key: string): Promise<void> {
	const id = "0a".repeat(20);
	const hook = sealedIn(key, sealedAs.hook("default", id));
	const config = JSON.stringify({ project: "default", function: "pays", name: "stripe" });
	await askRedis(redis.url, [
		[
			"HSET",
			"{berth}:package-registries:default",
			"npm.example.com",
			sealedIn(key, sealedAs.packageRegistry("default", "npm.example.com")),
		],
		["HSET", `{berth}:hook:${id}`, "config", config, "secrets", `{"current":${hook},"previous":${hook}}`],
	]);
}

test("where something is sealed and the key is gone none is made: the start says how many, and what to do", async () => {
	await seal(KEY);
	await expect(ensureSecretsKey(settings)).rejects.toThrow(
		/^2 records are sealed with a key that isn't here, and \S+secrets\.key is missing: put it back .*\(umask 077; openssl rand -hex 32 > \S+secrets\.key\)$/,
	);
	expect(await readdir(directory)).toEqual([]);
	expect(await checkSealingKey(settings, true)).toMatchObject([{ status: "failed", found: expect.stringContaining("2 records") }]);
});

test("doctor says who else than the service user may read the key", async () => {
	await ensureSecretsKey(settings);
	const check = async () => (await checkSealingKey(settings, true))[0];
	expect(await check()).toMatchObject({ status: "ok" });
	await chmod(settings.paths.secretsKey, 0o640);
	expect(await check()).toMatchObject({
		status: "warning",
		found: expect.stringMatching(/mode 640/),
		mend: expect.stringMatching(/^chown \d+:\d+ .*chmod 600/),
	});
	await chmod(settings.paths.secretsKey, 0o600);
	await chown(settings.paths.secretsKey, 4711, 4711);
	expect(await check()).toMatchObject({ status: "warning", found: expect.stringMatching(/uid 4711/) });
	await ensureSecretsKey(settings);
	expect(await check()).toMatchObject({ status: "ok" });
});

test("doctor says of a key that is gone while the stack is down that it is, where there are records that it may have sealed", async () => {
	const down = loadSettings({ BERTH_DATA_DIR: directory });
	const check = async () => (await checkSealingKey(down, false))[0];
	expect(await check()).toMatchObject({ status: "ok", found: expect.stringContaining("the first start makes it") });
	await mkdir(join(down.paths.durableRedis, "appendonlydir"), { recursive: true });
	expect(await check()).toMatchObject({
		status: "failed",
		found: expect.stringMatching(/secrets\.key isn't there, and the durable Redis/),
		mend: expect.stringMatching(/^Put it back/),
	});
	await writeFile(down.paths.secretsKey, `${KEY}\n`, { mode: 0o600 });
	expect(await check()).toMatchObject({ status: "ok" });
	// One that is up, and has nothing sealed, is no worry.
	expect((await checkSealingKey(settings, true))[0]).toMatchObject({ status: "ok", found: expect.stringContaining("opens whatever") });
	await rm(down.paths.secretsKey);
	expect((await checkSealingKey(settings, true))[0]).toMatchObject({ status: "ok", found: expect.stringContaining("nothing is sealed") });
});

test("doctor says how many records no key opens, and of what", async () => {
	await seal(KEY);
	const check = async (secretsKey: string) => (await checkSealingKey({ ...settings, secretsKey }, true))[0];
	expect(await check(ANOTHER)).toMatchObject({
		status: "warning",
		found: expect.stringMatching(
			/^Of 2 sealed records no key of BERTH_SECRETS_KEY opens 2: the secret A \(project default\), what callbacks/,
		),
	});
	expect(await check(`${ANOTHER},${KEY}`)).toMatchObject({ status: "ok" });
});

test("doctor opens every secret, of each kind, and names those that are damaged: changed, cut, or another's", async () => {
	const ours = { ...settings, secretsKey: KEY };
	const found = async () => (await checkSealingKey(ours, true)).map(({ status, found }) => [status, found]);
	await seal(KEY);
	await sealOthers(KEY);
	expect(await found()).toEqual([["ok", "BERTH_SECRETS_KEY opens whatever is sealed (records: 4)."]]);
	const changed = sealedIn(KEY, sealedAs.secret("default", "B")).replace(/.(.)"}$/, (end) => (end.startsWith("A") ? 'BA"}' : 'AA"}'));
	await askRedis(redis.url, [
		["HSET", "{berth}:secrets:default", "B", changed, "C", changed.slice(0, -9), "D", '{"sealed":"hush"}'],
		["HSET", "{berth}:secrets:other", "A", sealedIn(KEY, sealedAs.secret("default", "A"))],
		["HSET", `{berth}:hook:${"0b".repeat(20)}`, "config", "{", "secrets", "{}"],
	]);
	const said = `Of 9 sealed records 5 are damaged, and no key opens what was changed: the hook ${"0b".repeat(20)}, the secret A (project other), the secret B (project default), the secret C (project default), the secret D (project default).`;
	expect(await found()).toEqual([["warning", said]]);
	expect(await checkSealingKey({ ...settings, secretsKey: ANOTHER }, true)).toMatchObject([
		{ status: "warning", found: expect.stringMatching(/^Of 9 sealed records no key of BERTH_SECRETS_KEY opens 6: /) },
		{ status: "warning", found: expect.stringMatching(/^Of 9 sealed records 3 are damaged/) },
	]);
});

test("doctor names those that have lost what was sealed; a login that there is none of, and a hook whose secret isn't set yet, have nothing to lose", async () => {
	await seal(KEY);
	await sealOthers(KEY);
	const hook = (id: string) => `{berth}:hook:${id.repeat(20)}`;
	const config = JSON.stringify({ project: "default", function: "pays", name: "new" });
	await askRedis(redis.url, [
		["HSET", "{berth}:package-registries:default", "open.example.com", '{"scopes":[]}', "lost.example.com", '{"scopes":[],"sealed":null}'],
		["HSET", hook("0c"), "config", config, "secrets", "{}"],
		["HSET", hook("0d"), "config", config, "secrets", '{"current":{"setAt":"2026-11-26T10:00:00Z"}}'],
		["HSET", "{berth}:secrets:default", "B", '{"revision":"1"}', "C", "null"],
		["SET", "{berth}:callback-secret:second", "{}"],
	]);
	const ours = { ...settings, secretsKey: KEY };
	const [check] = await checkSealingKey(ours, true);
	expect(check).toMatchObject({
		status: "warning",
		found: expect.stringMatching(/^Of 9 sealed records 5 are damaged, and no key opens what was changed: the login at lost.example.com/),
	});
	for (const name of ["hook new of pays", "secret B", "secret C", "callbacks are signed with (project second)"])
		expect(check?.found).toContain(name);
});

test.each([
	["no key", 1],
	[`${KEY}\n${KEY.slice(1)}\n`, 2],
	[`${KEY.toUpperCase()}\n`, 1],
	["\n", 1],
])("a file with %j is refused by its line, without what stands there", async (text, line) => {
	await writeFile(settings.paths.secretsKey, text);
	const { what = "", mend } = (await secretsKeyObstacle(settings)) ?? {};
	expect(what).toMatch(new RegExp(`^${settings.paths.secretsKey}, line ${line}: .*64 hex digits`));
	expect(what).not.toContain(KEY.slice(1));
	expect(mend).toBe("put back the copy");
	expect((await checkSealingKey(settings, false))[0]).toMatchObject({ status: "failed" });
});

test("doctor says when something was last sealed with another key", async () => {
	await seal(KEY);
	const found = async () => (await checkSealingKey({ ...settings, secretsKey: KEY }, true))[0]?.found;
	expect(await found()).toBe("BERTH_SECRETS_KEY opens whatever is sealed (records: 2).");
	const at = new Date().toISOString();
	await askRedis(redis.url, [["HSET", "{berth}:resealed", "at", at, "records", "4"]]);
	expect(await found()).toBe(`BERTH_SECRETS_KEY opens whatever is sealed (records: 2; 4 were last sealed with another key at ${at}).`);
});

test("one key, and several, are none of those", async () => {
	expect(await secretsKeyObstacle(settings)).toBeUndefined();
	await writeFile(settings.paths.secretsKey, `${KEY}\n${ANOTHER}\n`);
	expect(await secretsKeyObstacle(settings)).toBeUndefined();
});
