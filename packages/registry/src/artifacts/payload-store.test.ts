import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Server } from "@berth/bucket/testing";
import { BerthError, MIB, newId } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ArtifactStore, openArtifactStore, type StorageBudgets } from "./store.js";

let server: S3Server;
let directory: string;
beforeAll(async () => {
	server = await S3Server.start();
	directory = await mkdtemp(join(tmpdir(), "payloads-"));
});
afterAll(async () => {
	await server?.[Symbol.asyncDispose]();
	await rm(directory, { recursive: true, force: true });
});

const mib = Buffer.alloc(MIB, "m");
const BUDGETS: StorageBudgets = {
	queuedBytes: 5 * MIB,
	requestBytes: 5 * MIB,
	resultBytes: 5 * MIB,
	logBytes: 5 * MIB,
	deliveryBytes: 5 * MIB,
};

/** Stores of a test's own, in directories or in a bucket; two of the same place are two processes'. */
function opening(kind: "directories" | "a bucket"): () => Promise<ArtifactStore> {
	const place = newId("job");
	const bucket = kind === "a bucket" ? { bucket: server.place(`${place}/`) } : {};
	return () => openArtifactStore(join(directory, place), { budgets: BUDGETS, ...bucket });
}

async function codeOf(asked: Promise<unknown>): Promise<string> {
	const error = await asked.then(
		() => undefined,
		(caught: unknown) => caught,
	);
	return error instanceof BerthError ? error.code : String(error);
}

describe.each(["directories", "a bucket"] as const)("payloads in %s", (kind) => {
	test("come back byte for byte, in whatever process, until they are removed", async () => {
		const open = opening(kind);
		const [ours, theirs] = [await open(), await open()];
		const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 256));
		for (const durability of ["durable", "fleeting"] as const) {
			const key = await ours.results.put(bytes, durability);
			expect((await theirs.results.get(key)).equals(bytes)).toBe(true);
			expect([await theirs.results.has(key), await theirs.queued.has(key)]).toEqual([true, false]);
			await theirs.results.remove(key);
			await theirs.results.remove(key);
			expect([await ours.results.find(key), await ours.results.has(key)]).toEqual([undefined, false]);
			expect(await codeOf(ours.results.get(key))).toBe("platform_error");
		}
	});

	test("are bodies when they are large; small ones stay in the message", async () => {
		const { queued } = await opening(kind)();
		expect(await queued.putBody(Buffer.from("small"), "durable")).toEqual({ text: "small" });
		const large = await queued.putBody(mib, "durable");
		expect(large).toMatchObject({ payload: expect.any(String), sizeBytes: MIB });
		expect((await queued.getBody(large)).equals(mib)).toBe(true);
		await queued.removeBody(large);
		expect(await codeOf(queued.getBody(large))).toBe("platform_error");
	});

	test("are put under a key that was reserved before, and counted with what was reserved", async () => {
		const { logs } = await opening(kind)();
		const [first, second] = [logs.reserve(3 * MIB), logs.reserve(3 * MIB)];
		expect(await logs.find(first)).toBeUndefined();
		await logs.putReserved(first, Buffer.from("one"));
		expect((await logs.get(first)).toString()).toBe("one");
		await logs.putReserved(second, Buffer.from("two"));
		expect([await logs.find(first), (await logs.get(second)).toString()]).toEqual([undefined, "two"]);
	});

	test("become another store's as well, and outlive the first", async () => {
		const { queued, requests } = await opening(kind)();
		const body = await queued.putBody(mib, "durable");
		const kept = await requests.adoptBody(queued, body);
		await queued.removeBody(body);
		expect((await requests.getBody(kept)).equals(mib)).toBe(true);
		expect(await codeOf(requests.adoptBody(queued, body))).toBe("platform_error");
	});

	test("are refused beyond the budget where somebody needs what is there, whoever put it", async () => {
		const open = opening(kind);
		const keys = [];
		const ours = await open();
		for (let at = 0; at < 5; at++) keys.push(await ours.queued.put(mib));
		const theirs = await open();
		expect(await codeOf(theirs.queued.put(Buffer.from("more")))).toBe("storage_full");
		await theirs.queued.remove(keys[0] as string);
		await expect.poll(() => codeOf(theirs.queued.put(Buffer.from("more")))).toBe("undefined");
	});

	test("go oldest first where they may be missed, and to below the budget", async () => {
		const { results } = await opening(kind)();
		const keys: string[] = [];
		for (let at = 0; at < 7; at++) {
			keys.push(await results.put(mib));
			await new Promise((resolve) => setTimeout(resolve, 2));
		}
		const left = async () => (await Promise.all(keys.map((key) => results.has(key)))).map(Number).join("");
		await expect.poll(left).toMatch(/^0{2,4}1{3,5}$/);
	});

	test("are swept when they are old", async () => {
		const { deliveries } = await opening(kind)();
		const key = await deliveries.put(Buffer.from("young"));
		expect([await deliveries.sweep(60_000), await deliveries.has(key)]).toEqual([0, true]);
		expect([await deliveries.sweep(-1000), await deliveries.has(key)]).toEqual([1, false]);
	});

	test("say whose they are, where somebody may ask for it, and are listed by that once they are old", async () => {
		const { queued, requests } = await opening(kind)();
		const [of, other] = [newId("inv"), newId("inv")];
		const key = await queued.put(mib, "durable", of);
		const adopted = await queued.adoptBody(requests, await requests.putBody(mib), { of: other });
		await queued.put(mib);
		expect(await queued.heldFor(60_000)).toEqual([]);
		const held = await queued.heldFor(-1000);
		expect(held).toHaveLength(2);
		expect(held).toContainEqual({ payload: key, invocation: of });
		expect(held).toContainEqual({ payload: "payload" in adopted ? adopted.payload : "", invocation: other });
		expect((await queued.get(key)).length).toBe(MIB);
	});

	test("have keys that lead nowhere else", async () => {
		const { logs } = await opening(kind)();
		for (const key of ["", "..", "../results/x", "0", `${logs.reserve(1)}/..`]) {
			expect(await codeOf(logs.find(key))).toBe("platform_error");
			expect(await codeOf(logs.putReserved(key, mib))).toBe("platform_error");
			expect(await codeOf(logs.remove(key))).toBe("platform_error");
		}
	});
});

test("a bucket that is away is unavailable, by its name, and nothing is counted that isn't there", async () => {
	const place = { ...server.place("away/"), bucket: "nowhere" };
	const { queued, payloads } = await openArtifactStore(join(directory, "away"), { budgets: BUDGETS, bucket: place });
	await expect(queued.put(mib)).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("s3://nowhere/away/") });
	await expect(queued.find(queued.reserve(1))).rejects.toMatchObject({ code: "unavailable" });
	// What somebody waits with is its node's.
	expect((await payloads.get(await payloads.put(mib))).equals(mib)).toBe(true);
});

test("what another version has put is swept by when it was written, and what isn't a payload stays, also when room is made", async () => {
	const place = join(directory, "strange");
	const { results } = await openArtifactStore(place, { budgets: BUDGETS });
	const [newer, none] = [`${results.reserve(1)}-of.another`, "-notes.txt"];
	const written = async () => (await readdir(join(place, "results"))).filter((name) => [newer, none].includes(name)).sort();
	for (const name of [newer, none]) await writeFile(join(place, "results", name), "x");
	expect([await results.sweep(60_000), await written()]).toEqual([0, [none, newer]]);
	expect([await results.sweep(-1000), await written()]).toEqual([1, [none]]);
	for (let at = 0; at < 8; at++) await results.put(mib);
	expect(await written()).toEqual([none]);
});
