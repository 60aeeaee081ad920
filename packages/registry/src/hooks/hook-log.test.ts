import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DAY_MS, HOOK_LIMITS, HOUR_MS, hookInputSchema, MIB, MINUTE_MS, newId } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ArtifactStore, openArtifactStore } from "../artifacts/index.js";
import { FunctionRegistry } from "../function-registry.js";
import { Vault } from "../vault.js";
import type { StoredEvent } from "./hook-log.js";
import { Hooks } from "./hooks.js";

const MANIFEST = { runtime: "node24", memoryMiB: 128, network: "none" } as never;
let redis: RedisServer;
let directory: string;
let store: ArtifactStore;
let functions: FunctionRegistry;
let hooks: Hooks;

beforeAll(async () => {
	redis = await RedisServer.start();
	directory = await mkdtemp(join(tmpdir(), "hook-log-"));
	store = await openArtifactStore(directory);
	functions = await FunctionRegistry.open(redis.url);
	await functions.createVersion("default", "shop", MANIFEST, { kind: "file", digest: `sha256:${"1".repeat(64)}`, sizeBytes: 1 } as never);
	hooks = await Hooks.open({ url: redis.url, vault: new Vault("0".repeat(64)), bodies: store.deliveries, retentionMs: DAY_MS });
});
afterAll(async () => {
	await hooks?.close();
	await functions?.close();
	await redis?.[Symbol.asyncDispose]();
	await rm(directory, { recursive: true, force: true });
});

let count = 0;
/** A hook's id. */
async function made(): Promise<string> {
	const input = hookInputSchema.parse({ scheme: "none", name: `hook-${count++}` });
	return (await hooks.make("default", "shop", input, undefined)).path.slice("/hook/".length);
}

function event(more: Partial<StoredEvent> = {}): StoredEvent {
	return {
		id: newId("evt"),
		function: "shop",
		hook: "hook",
		at: new Date().toISOString(),
		result: "running",
		from: "127.0.0.1",
		method: "POST",
		query: "",
		headers: [],
		bodyBytes: 0,
		...more,
	};
}

async function listed(id: string): Promise<readonly StoredEvent[]> {
	const events: StoredEvent[] = [];
	for await (const entry of hooks.log.newest(id, undefined)) events.push(entry.event);
	return events;
}

const ttl = async (pattern: string) =>
	redis.client(async (client) => {
		const [key = ""] = await client.keys(pattern);
		return await client.pttl(key);
	});

describe("a delivery", () => {
	test("is let in once, by whichever of what it has in common with repetitions", async () => {
		const id = await made();
		const first = event();
		expect(await hooks.log.begin(id, first, ["id 1", "signature a"], 0)).toEqual({ kind: "begun" });
		for (const identities of [["id 1", "signature b"], ["id 2", "signature a"], ["signature a"]])
			expect(await hooks.log.begin(id, event(), identities, 0)).toEqual({ kind: "running", event: first.id });
		await hooks.log.end(id, { ...first, result: "answered" }, ["id 1", "signature a"], { status: 200 });
		expect(await hooks.log.begin(id, event(), ["signature a"], 0)).toEqual({ kind: "done", event: first.id, answer: { status: 200 } });
		expect(await hooks.log.begin(id, event(), ["id 2", "signature b"], 0)).toEqual({ kind: "begun" });
		expect(await hooks.log.begin(await made(), event(), ["id 1"], 0)).toEqual({ kind: "begun" });
	});

	test("of a hundred at the same time one begins", async () => {
		const id = await made();
		const kinds = await Promise.all(Array.from({ length: 100 }, async () => (await hooks.log.begin(id, event(), ["id 1"], 0)).kind));
		expect(kinds.filter((kind) => kind === "begun")).toHaveLength(1);
	});

	test("that failed may come again; what ends late doesn't take another's place", async () => {
		const id = await made();
		const [first, second] = [event(), event()];
		await hooks.log.begin(id, first, ["id 1"], 0);
		await hooks.log.end(id, { ...first, result: "failed" }, ["id 1"]);
		expect(await hooks.log.begin(id, second, ["id 1"], 0)).toEqual({ kind: "begun" });
		await hooks.log.end(id, { ...first, result: "answered" }, ["id 1"], { status: 200 });
		expect(await hooks.log.begin(id, event(), ["id 1"], 0)).toEqual({ kind: "running", event: second.id });
	});

	test("is anybody's again when its gateway can't have it any more, and remembered for three days when it was let in", async () => {
		const id = await made();
		const first = event();
		await hooks.log.begin(id, first, ["id 1"], MINUTE_MS);
		const running = await ttl(`*${id}:claim:*`);
		expect(running).toBeGreaterThan(MINUTE_MS);
		expect(running).toBeLessThanOrEqual(MINUTE_MS + 20_000);
		await hooks.log.end(id, { ...first, result: "answered" }, ["id 1"], { status: 200 });
		expect(await ttl(`*${id}:claim:*`)).toBeGreaterThan(3 * DAY_MS - MINUTE_MS);
	});

	test("to a hook that was removed leaves nothing", async () => {
		const id = await made();
		const found = await hooks.find(id);
		if (found === undefined) throw new Error("there is no hook");
		await hooks.log.begin(id, event(), [], 0);
		await hooks.remove(found);
		expect(await hooks.log.begin(id, event(), ["id 1"], 0)).toEqual({ kind: "gone" });
		await hooks.log.note(id, event({ result: "refused" }));
		expect(await redis.client((client) => client.keys(`*${id}*`))).toEqual([]);
	});
});

test("a hook whose secret can't be opened any more gets another, and lets in with that alone", async () => {
	const id = await made();
	const other = await Hooks.open({ url: redis.url, vault: new Vault("1".repeat(64)), bodies: store.deliveries, retentionMs: DAY_MS });
	try {
		const found = await hooks.find(id);
		if (found === undefined) throw new Error("there is no hook");
		await hooks.rotate(found, "sealed with the first key", DAY_MS);
		const strange = await other.find(id);
		expect(() => strange?.secrets()).toThrow(/sealed with another key/);
		await other.rotate(found, "sealed with the second", DAY_MS);
		expect((await other.find(id))?.secrets()).toEqual(["sealed with the second"]);
		await other.rotate(found, "and another", DAY_MS);
		expect((await other.find(id))?.secrets()).toEqual(["and another", "sealed with the second"]);
	} finally {
		await other.close();
	}
});

describe("a log", () => {
	test("has the newest thousand that were run; who isn't let in drives out none of them", async () => {
		const id = await made();
		for (let n = 0; n < HOOK_LIMITS.events + 5; n++) await hooks.log.begin(id, event({ deliveryId: String(n) }), [], 0);
		for (let n = 0; n < HOOK_LIMITS.idleEvents + 5; n++) await hooks.log.note(id, event({ result: "refused", deliveryId: String(n) }));
		const events = await listed(id);
		const run = events.filter(({ result }) => result !== "refused").map(({ deliveryId }) => Number(deliveryId));
		const idle = events.filter(({ result }) => result === "refused").map(({ deliveryId }) => Number(deliveryId));
		expect([run.length, run[0], run.at(-1)]).toEqual([HOOK_LIMITS.events, HOOK_LIMITS.events + 4, 5]);
		expect([idle.length, idle[0], idle.at(-1)]).toEqual([HOOK_LIMITS.idleEvents, HOOK_LIMITS.idleEvents + 4, 5]);
		// Fields of what is gone are gone, too: an event has three, and there is one count.
		const fields = await redis.client((client) => client.hlen(`{berth}:hook:${id}:log`));
		expect(fields).toBe(3 * (HOOK_LIMITS.events + HOOK_LIMITS.idleEvents) + 1);
	});

	test("has 64 MiB of records and bodies, and lets go of the files of those that are gone", async () => {
		const id = await made();
		const bodies = 20;
		const sizeBytes = 4 * MIB;
		for (let n = 0; n < bodies; n++) {
			const payload = await store.deliveries.put(Buffer.from(String(n)));
			await hooks.log.begin(id, event({ deliveryId: String(n), bodyBytes: sizeBytes, body: { payload, sizeBytes } }), [], 0);
		}
		const kept = (await listed(id)).map(({ deliveryId }) => Number(deliveryId));
		expect(kept).toEqual([19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5]);
		expect(await readdir(join(directory, "deliveries"))).toHaveLength(kept.length);
	});

	test("counts an event once that is written again", async () => {
		const id = await made();
		const one = event({ body: { text: "x".repeat(1000) } });
		await hooks.log.begin(id, one, [], 0);
		const bytes = () => redis.client((client) => client.hget(`{berth}:hook:${id}:log`, "#bytes"));
		await hooks.log.end(id, one, []);
		const once = await bytes();
		await hooks.log.end(id, one, []);
		expect(await bytes()).toBe(once);
	});

	test("lets go of what is older than it keeps, and goes as a whole when nothing comes", async () => {
		const id = await made();
		await hooks.log.begin(id, event({ at: new Date(Date.now() - DAY_MS - HOUR_MS).toISOString(), deliveryId: "old" }), [], 0);
		await hooks.log.begin(id, event({ deliveryId: "new" }), [], 0);
		expect((await listed(id)).map(({ deliveryId }) => deliveryId)).toEqual(["new"]);
		for (const part of ["log", "runs"]) {
			const left = await ttl(`{berth}:hook:${id}:${part}`);
			expect(left).toBeGreaterThan(DAY_MS - MINUTE_MS);
			expect(left).toBeLessThanOrEqual(DAY_MS);
		}
	});

	test("goes on with its revisions when it was gone: who follows it since before sees what comes", async () => {
		const id = await made();
		for (let n = 0; n < 5; n++) await hooks.log.note(id, event({ result: "refused" }));
		const last = await hooks.log.revision(id);
		await redis.client((client) => client.del(...["log", "runs", "idle"].map((part) => `{berth}:hook:${id}:${part}`)));
		expect(await hooks.log.revision(id)).toBe(last);
		await hooks.log.note(id, event({ result: "refused", deliveryId: "after a quiet week" }));
		expect(await hooks.log.after(id, last)).toMatchObject([{ event: { deliveryId: "after a quiet week" } }]);
	});
});
