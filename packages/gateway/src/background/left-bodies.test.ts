import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type InvocationRecord, newId, type Version } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { replay } from "../replays.js";
import { ended } from "../testing/settlements.js";
import { type Stack, startStack } from "../testing/stack.js";
import { enqueue } from "./enqueue.js";
import { sweepLeftBodies } from "./left-bodies.js";

/** Larger than what stays in a message. */
const BODY = Buffer.from(JSON.stringify("x".repeat(10_000)));

let redis: RedisServer;
let stack: Stack;
let version: Version;
let seen: number[];
beforeAll(async () => {
	redis = await RedisServer.start();
	stack = await startStack(redis.url);
	await stack.services.functions.store.find(false);
	await stack.deploy("shop", { background: { attempts: 1 } });
	version = await stack.services.functions.resolve("default", "shop");
});
beforeEach(async () => {
	seen = [];
	stack.onInvocation(async ({ request }) => {
		seen.push((await stack.services.artifacts.queued.getBody(request.body)).length);
		return ended("succeeded", {}, { body: { text: "" } });
	});
	for (const key of files()) await stack.services.artifacts.queued.remove(key);
	await redis.client((client) => client.del("berth:bg-bodies-swept"));
});
afterAll(async () => {
	await stack?.close();
	await redis?.[Symbol.asyncDispose]();
});

const files = () => readdirSync(join(stack.directory, "queued")).sort();
const switched = (to: "pause" | "resume") => stack.fetch(`/v1/functions/shop/${to}`, { method: "POST" });
const accept = (id: string, body: Buffer = BODY) =>
	enqueue(version, { id, trigger: { kind: "event" }, body, source: "api" }, stack.services);

async function settled(id: string): Promise<InvocationRecord> {
	await expect.poll(async () => (await stack.services.invocations.record(id))?.state).toBe("settled");
	return (await stack.services.invocations.record(id)) as InvocationRecord;
}

describe("a body that is put again", () => {
	test("goes while its invocation waits with the first one, and with that it is run", async () => {
		const id = newId("inv");
		await switched("pause");
		await accept(id);
		const [first] = files();
		for (let at = 0; at < 3; at++) await accept(id, Buffer.concat([BODY, BODY]));
		expect(files()).toEqual([first]);
		await switched("resume");
		await settled(id);
		expect(seen).toEqual([BODY.length]);
		await expect.poll(files).toEqual([]);
	});

	test("goes when its invocation has run", async () => {
		const id = newId("inv");
		await accept(id);
		await settled(id);
		await accept(id);
		await expect.poll(files).toEqual([]);
		expect(seen).toHaveLength(1);
	});

	test("isn't, by who asks for the replay of a dead letter that somebody else has replayed", async () => {
		stack.onInvocation(async () => ended("handler_error", {}));
		const id = newId("inv");
		await accept(id);
		const dead = await settled(id);
		expect(dead.background?.dead).toBe(true);
		await switched("pause");
		const replays = await Promise.all(Array.from({ length: 5 }, () => replay(dead, "same", stack.services)));
		const replayed = replays[0]?.answer.id as string;
		expect(new Set(replays.map(({ answer }) => answer.id))).toEqual(new Set([replayed]));
		expect(files()).toEqual([expect.stringContaining(replayed)]);
		await switched("resume");
		await settled(replayed);
	});
});

describe("what is looked for once an hour", () => {
	test("is what was never accepted, and what is settled; what waits has its body, also without a record, and so has what is in doubt", async () => {
		const { queued } = stack.services.artifacts;
		await switched("pause");
		const [waits, unrecorded, lost, over] = [newId("inv"), newId("inv"), newId("inv"), newId("inv")];
		for (const id of [waits, unrecorded, lost]) await accept(id);
		// A gateway that died between the job and its record; and a job that is no more, whyever.
		await redis.client(async (client) => {
			await client.del(`berth:bg:${unrecorded}`);
			await client.del(`berth:q:b-default/shop:${lost}`);
		});
		const kept = files();
		const nobodys = await queued.put(BODY, "durable", newId("inv"));
		const again = await queued.put(BODY, "durable", waits);
		await redis.client((client) =>
			client.hset(`berth:bg:${over}`, { head: JSON.stringify({ project: "default", function: "shop" }), state: "settled" }),
		);
		const ended = await queued.put(BODY, "durable", over);
		const young = await queued.put(BODY, "durable", newId("inv"));
		expect(await sweepLeftBodies(stack.services)).toBe(0);
		expect(files()).toEqual([...kept, nobodys, again, ended, young].sort());
		// It was done within the hour.
		expect(await sweepLeftBodies(stack.services, -1000)).toBe(0);
		await redis.client((client) => client.del("berth:bg-bodies-swept"));
		expect(await sweepLeftBodies(stack.services, -1000)).toBe(4);
		expect(files()).toEqual(kept);
		await switched("resume");
		for (const id of [waits, unrecorded]) await settled(id);
		expect(seen).toEqual([BODY.length, BODY.length]);
	});

	test("goes some at a time, and the rest the next time, when the gateway is to end", async () => {
		const { queued } = stack.services.artifacts;
		for (let at = 0; at < 130; at++) await queued.put(Buffer.from("x"), "fleeting", newId("inv"));
		const stop = new AbortController();
		stop.abort();
		const some = await sweepLeftBodies(stack.services, -1000, stop.signal);
		expect(some).toBeLessThan(130);
		await redis.client((client) => client.del("berth:bg-bodies-swept"));
		expect(await sweepLeftBodies(stack.services, -1000)).toBe(130 - some);
		expect(files()).toEqual([]);
	});

	test("is nothing while functions are to be recovered: records may be what was lost", async () => {
		await stack.services.artifacts.queued.put(BODY, "durable", newId("inv"));
		const found = (state: string) => redis.client((client) => client.set("{berth}:store", state));
		await found("lost");
		expect(await sweepLeftBodies(stack.services, -1000)).toBe(0);
		await found("whole");
		expect(await sweepLeftBodies(stack.services, -1000)).toBe(1);
	});
});
