import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openInvocationQueue, openInvocationSource } from "@berth/queue";
import { RedisServer } from "@berth/redis/testing";
import { FUNCTION_RECORDS, FunctionRegistry, Hooks, openArtifactStore, Schedules, Secrets, Vault } from "@berth/registry";
import { afterAll, beforeAll, expect, test } from "vitest";

/**
 * What a stack of an earlier version had in its durable Redis: made by that version's own command line, dumped key by key. API keys, audit log
 * and build logs are left out; what is sealed is sealed with a key that is nobody's.
 */
const FIXTURE = new URL("../../../test/fixtures/records/0.1.0-45ace50e.json", import.meta.url);
const KEY = "42".repeat(32);
/** Times in records are moved to be as far from now as they were from then: what waits isn't too old. A delayed job's score is its time and 12 bits more (BullMQ). */
const TIME = /\b179\d{10}\b/g;
const DELAYED_FACTOR = 0x1000;

type Pairs = readonly (readonly [string, string])[];
interface Dump {
	readonly dumpedAtMs: number;
	readonly keys: Readonly<Record<string, { readonly type: string; readonly value: string | readonly string[] | Pairs }>>;
}

let server: RedisServer;
let directory: string;
const opened: { close(): Promise<unknown> }[] = [];
beforeAll(async () => {
	server = await RedisServer.start();
	directory = await mkdtemp(join(tmpdir(), "berth-old-records-"));
	await server.client(load);
});
afterAll(async () => {
	await Promise.all(opened.map((one) => one.close()));
	await server[Symbol.asyncDispose]();
	await rm(directory, { recursive: true });
});

async function load(redis: Parameters<Parameters<RedisServer["client"]>[0]>[0]): Promise<void> {
	const { dumpedAtMs, keys } = JSON.parse(readFileSync(FIXTURE, "utf8")) as Dump;
	const moreMs = Date.now() - dumpedAtMs;
	for (const [key, { type, value }] of Object.entries(keys)) {
		const now = JSON.parse(JSON.stringify(value).replace(TIME, (time) => String(Number(time) + moreMs))) as typeof value;
		if (type === "string") await redis.set(key, now as string);
		else if (type === "list") await redis.rpush(key, ...(now as string[]));
		else if (type === "set") await redis.sadd(key, ...(now as string[]));
		else if (type === "hash") await redis.hset(key, Object.fromEntries(now as Pairs));
		else if (type === "zset") {
			const more = key.endsWith(":delayed") ? moreMs * DELAYED_FACTOR : 0;
			for (const [member, score] of now as Pairs) await redis.zadd(key, Number(score) + more, member);
		} else throw new Error(`${key} is a ${type}`);
	}
}

function kept<T extends { close(): Promise<unknown> }>(one: T): T {
	opened.push(one);
	return one;
}

test("functions, versions and aliases that a version before stored are there", async () => {
	const functions = kept(await FunctionRegistry.open(server.url));
	expect((await functions.listFunctions("default")).map(({ name, latest }) => [name, latest]).sort()).toEqual([
		["kept", 3],
		["snake", 1],
	]);
	const versions = await functions.listVersions("default", "kept");
	expect(versions.map(({ number, state }) => [number, state])).toEqual([
		[3, "ready"],
		[2, "ready"],
		[1, "ready"],
	]);
	const live = await functions.resolve("default", "kept");
	expect(live).toMatchObject({ number: 3, manifest: { secrets: ["token"], memoryMiB: 128 }, image: { layers: expect.anything() } });
	const summary = await functions.getFunction("default", "kept");
	expect(summary?.aliases.find(({ name }) => name === "canary")?.weights).toEqual({ 1: 30, 3: 70 });
	expect(await functions.store.find(false)).toBe("whole");
});

test("what was sealed then is opened, schedules are known and due, hooks have their secrets", async () => {
	const vault = await Vault.open(KEY, join(directory, "none"));
	const secrets = kept(await Secrets.open(server.url, vault));
	expect((await secrets.values("default", ["token"])).map(({ value }) => value)).toEqual(["s3cret-of-before"]);
	const schedules = kept(await Schedules.open(server.url));
	const listed = await schedules.list("default", "kept");
	expect(listed.map(({ config }) => [config.name, config.enabled]).sort()).toEqual([
		["often", false],
		["yearly", true],
	]);
	expect(listed.find(({ config }) => config.name === "yearly")?.dueMs).toBeGreaterThan(0);
	const often = listed.find(({ config }) => config.name === "often");
	expect((await schedules.runs(often?.id ?? "", 100)).map(({ result }) => result)).toContain("fired");
	const { deliveries: bodies } = await openArtifactStore(join(directory, "artifacts"), {});
	const hooks = kept(await Hooks.open({ url: server.url, vault, bodies, retentionMs: 1000 }));
	expect((await hooks.list("default", "kept")).map(({ name, mode }) => [name, mode]).sort()).toEqual([
		["counted", "background"],
		["open", "sync"],
		["signed", "background"],
	]);
	const signed = await hooks.need("default", "kept", "signed");
	expect(signed.secrets()).toEqual([`whsec_${Buffer.from("hook-secret-of-before-0123456789").toString("base64")}`]);
});

test("background invocations that were accepted then are run, once each, and those that had ended are on record", async () => {
	const urls = { durableUrl: server.url, fastUrl: server.url };
	const queue = kept(await openInvocationQueue({ ...urls, gatewayId: "gw_test", functionRecords: FUNCTION_RECORDS }));
	const source = kept(await openInvocationSource({ ...urls, nodeId: "node_test", incarnation: "1", limitsOf: async () => undefined }));
	const ran: string[] = [];
	await source.start(async ({ request, attempt }) => {
		ran.push(JSON.stringify(request.body));
		const phases = { queueMs: 0, startMs: 0, initMs: 0, runMs: 1 };
		return { attempt: { attempt, outcome: "succeeded", phases, limitsHit: [], node: "node_test", finishedAtMs: Date.now() } };
	}, 8);
	expect(await queue.paused("default")).toEqual(new Set(["snake"]));
	await queue.resume({ project: "default", function: "snake" });
	await expect
		.poll(() => [...ran].sort(), { timeout: 10_000 })
		.toEqual([1, 1, 2, 2, 3, 3].map((sent) => JSON.stringify({ text: `[${sent}]` })));
	await expect.poll(async () => (await queue.record("inv_01m8bw3wwc5gywyy798jy8n9wt"))?.last?.outcome).toBe("succeeded");
	// Delayed then, delayed now.
	expect(await queue.record("inv_01m8bw6bnt5ncej0bs0wagksy9")).not.toHaveProperty("last");
	expect((await queue.record("inv_01m8bw3y0yv6x44yg1w6bqwd1m"))?.last).toMatchObject({ outcome: "succeeded", attempt: 1 });
});
