import { Bucket } from "@berth/bucket";
import { S3Gate, S3Server } from "@berth/bucket/testing";
import { BerthError, KIB, newId } from "@berth/contracts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { PayloadBucket } from "./payload-bucket.js";
import { type PayloadBudget, PayloadRoom, type RoomPatience } from "./payload-room.js";
import { PayloadStore } from "./payload-store.js";

const QUICK: RoomPatience = { roomMs: 300, firstMs: 100 };
const bytes = Buffer.alloc(KIB, "k");
let server: S3Server;
let gate: S3Gate;
let prefix: string;
let troubles: unknown[];
beforeAll(async () => {
	server = await S3Server.start();
});
beforeEach(async () => {
	prefix = `${newId("job")}/`;
	gate = await S3Gate.before(server.place(prefix));
	troubles = [];
});
afterEach(() => gate[Symbol.asyncDispose]());
afterAll(() => server?.[Symbol.asyncDispose]());

/** A process's store of so many KiB in the bucket, beyond the gate. */
function opened(kib: number, whenFull: PayloadBudget["whenFull"], patience?: RoomPatience, place = gate.place): PayloadStore {
	const objects = new PayloadBucket(new Bucket(place, { tryMs: 5000, retryMs: 300 }), "kept");
	const room = new PayloadRoom(objects, { bytes: kib * KIB, whenFull }, (error) => troubles.push(error), patience);
	room.begin();
	return new PayloadStore(objects, room);
}

async function putAll(store: PayloadStore, count: number): Promise<string[]> {
	const keys: string[] = [];
	for (let at = 0; at < count; at++) keys.push(await store.put(bytes));
	return keys;
}

function names(): Promise<readonly string[]> {
	return new Bucket(server.place(prefix)).names("kept/");
}

async function errorOf(asked: Promise<unknown>): Promise<BerthError> {
	const error = await asked.then(
		() => undefined,
		(caught: unknown) => caught,
	);
	expect(error).toBeInstanceOf(BerthError);
	return error as BerthError;
}

describe("where the oldest may go", () => {
	test("room is made from nine tenths on while puts go on; only one that has none waits, and goes on with the first that is gone", async () => {
		const store = opened(100, "remove oldest");
		await putAll(store, 90);
		gate.hold("remove");
		gate.hold("list");
		await putAll(store, 1);
		await expect.poll(() => gate.waiting("list")).toBe(1);
		// The list of what is there takes as long as it likes, and so do the removals.
		await putAll(store, 4);
		gate.letGo("list");
		await expect.poll(() => gate.waiting("remove")).toBeGreaterThanOrEqual(10);
		expect(gate.waiting("remove")).toBeLessThanOrEqual(32);
		await putAll(store, 5);
		let isPut = false;
		const waits = store.put(bytes).then(() => {
			isPut = true;
		});
		await store.has(store.reserve(1));
		expect(isPut).toBe(false);
		gate.letGo("remove");
		await waits;
		await expect.poll(async () => (await names()).length).toBeLessThanOrEqual(90);
		expect(troubles).toEqual([]);
	});

	test("many go at the same time, and the oldest of them", async () => {
		const before = opened(1000, "remove oldest", undefined, server.place(prefix));
		const keys = await putAll(before, 95);
		gate.hold("remove");
		const store = opened(100, "remove oldest");
		const last = await store.put(bytes);
		await expect.poll(() => gate.waiting("remove")).toBe(16);
		gate.letGo("remove");
		await expect.poll(names).toEqual([...keys.slice(16), last].toSorted());
	});

	test("one that gets no room in time is refused, and comes again", async () => {
		const store = opened(10, "remove oldest", QUICK);
		gate.hold("remove");
		await putAll(store, 10);
		expect(await errorOf(store.put(bytes))).toMatchObject({ code: "unavailable", message: expect.stringContaining("within 0.3 s") });
		gate.letGo("remove");
		await expect.poll(() => store.put(bytes).catch(() => undefined)).toBeDefined();
	});

	test("what is larger than all there is isn't waited for", async () => {
		const store = opened(1, "remove oldest");
		expect(await errorOf(store.put(Buffer.alloc(KIB + 1)))).toMatchObject({ code: "storage_full" });
	});
});

describe("a store that", () => {
	test("somebody needs is counted anew in time when others free it", async () => {
		const [ours, theirs] = [opened(10, "refuse"), opened(10, "refuse")];
		const keys = await putAll(ours, 10);
		expect(await errorOf(ours.put(bytes))).toMatchObject({ code: "storage_full" });
		for (const key of keys.slice(0, 5)) await theirs.remove(key);
		await expect.poll(() => ours.put(bytes).catch(() => undefined)).toBeDefined();
		await putAll(ours, 4);
		expect(await errorOf(ours.put(bytes))).toMatchObject({ code: "storage_full" });
		expect(await names()).toHaveLength(10);
	});

	test("is slow to say what it holds takes what comes; what came meanwhile is counted, and what went isn't", async () => {
		gate.hold("list");
		const store = opened(4, "refuse", QUICK);
		const [gone] = await putAll(store, 4);
		await store.remove(gone as string);
		gate.letGo("list");
		await expect.poll(() => gate.waiting("list")).toBe(0);
		await putAll(store, 1);
		expect(await errorOf(store.put(bytes))).toMatchObject({ code: "storage_full" });
	});

	test("is away is unavailable, and has what fits when it is back; what wasn't put isn't counted", async () => {
		const store = opened(4, "refuse");
		await putAll(store, 2);
		await server.halt();
		try {
			for (let at = 0; at < 3; at++) expect(await errorOf(store.put(bytes))).toMatchObject({ code: "unavailable" });
		} finally {
			await server.resume();
		}
		await putAll(store, 2);
		expect(await errorOf(store.put(bytes))).toMatchObject({ code: "storage_full" });
	});

	test("was never counted says why to who puts, and to its operator", async () => {
		const store = opened(4, "refuse", undefined, { ...server.place(prefix), secretAccessKey: "wrong" });
		expect(await errorOf(store.put(bytes))).toMatchObject({ code: "unavailable", message: expect.stringContaining("the key isn't taken") });
		expect(troubles).toHaveLength(1);
	});
});
