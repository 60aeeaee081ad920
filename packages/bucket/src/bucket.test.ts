import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { BerthError } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bucket, type BucketPlace, type Patience } from "./bucket.js";
import { S3Server } from "./testing/s3-server.js";
import { tryBucket } from "./try-bucket.js";

const QUICK: Patience = { tryMs: 300, retryMs: 600 };
let server: S3Server;
beforeAll(async () => {
	server = await S3Server.start();
});
afterAll(() => server?.[Symbol.asyncDispose]());

const bucket = (changes: Partial<BucketPlace> = {}) => new Bucket({ ...server.place("some/place/"), ...changes }, QUICK);

/** What went wrong, as its operator reads it. */
async function whyOf(asked: Promise<unknown>): Promise<string> {
	const error = await asked.then(
		() => undefined,
		(caught: unknown) => caught,
	);
	expect(error).toBeInstanceOf(BerthError);
	expect((error as BerthError).code).toBe("unavailable");
	return (error as BerthError).message;
}

/** A server that answers as it is told; how often it was asked. */
async function withServer(answer: RequestListener, act: (place: BucketPlace, asked: () => number) => Promise<void>): Promise<void> {
	let asked = 0;
	const fake = createServer((request, response) => {
		asked++;
		answer(request, response);
	});
	await once(fake.listen(0, "127.0.0.1"), "listening");
	try {
		await act({ ...server.place(), endpoint: `http://127.0.0.1:${(fake.address() as AddressInfo).port}` }, () => asked);
	} finally {
		fake.closeAllConnections();
		await new Promise((resolve) => fake.close(resolve));
	}
}

describe("a bucket of an S3 server", () => {
	test("gives back what was put, byte for byte, has it once, copies it, and forgets it", async () => {
		const store = bucket();
		const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 256));
		await store.put("a/one", bytes);
		await store.put("a/one", bytes);
		expect((await store.find("a/one"))?.equals(bytes)).toBe(true);
		expect([await store.has("a/one"), await store.has("a/two"), await store.find("a/two")]).toEqual([true, false, undefined]);
		expect([await store.copy("a/one", "b/two"), await store.copy("a/none", "b/none")]).toEqual([true, false]);
		expect((await store.find("b/two"))?.equals(bytes)).toBe(true);
		expect([await store.names("a/"), await store.names("b/"), await store.names("c/")]).toEqual([["one"], ["two"], []]);
		await store.remove("a/one");
		await store.remove("a/one");
		expect(await store.find("a/one")).toBeUndefined();
		await store.put("empty", Buffer.alloc(0));
		expect((await store.find("empty"))?.length).toBe(0);
		await tryBucket(store);
	});

	test("lists what is below a directory, in its order, and nothing of another one", async () => {
		const store = new Bucket(server.place("many/"));
		const names = Array.from({ length: 120 }, (_, at) => String(at).padStart(4, "0"));
		await Promise.all(names.map((name) => store.put(`x/${name}`, Buffer.from("1"))));
		await bucket({ prefix: "many/x2/" }).put("elsewhere", Buffer.from("1"));
		expect(await store.names("x/")).toEqual(names);
	});

	test("says what is wrong with the key, the bucket and the address", async () => {
		expect(await whyOf(bucket({ secretAccessKey: "wrong" }).put("a", Buffer.from("1")))).toMatch(
			/^the payload store s3:\/\/payloads\/some\/place\/ at http:\S+ doesn't do: the key isn't taken, or may not do this \(403 SignatureDoesNotMatch/,
		);
		expect(await whyOf(bucket({ accessKeyId: "nobody" }).find("a"))).toMatch(/the key isn't taken.*403/);
		for (const asked of [(one: Bucket) => one.find("a"), (one: Bucket) => one.put("a", Buffer.from("1")), (one: Bucket) => one.names("a/")])
			expect(await whyOf(asked(bucket({ bucket: "nowhere" })))).toMatch(/there is no bucket nowhere; make it/);
		let free = "";
		await withServer(
			() => undefined,
			async ({ endpoint }) => {
				free = endpoint;
			},
		);
		expect(await whyOf(bucket({ endpoint: free }).find("a"))).toMatch(/can't be reached: .*ECONNREFUSED/);
	});

	test("is asked again while it is away, and has it when it is back", async () => {
		const store = new Bucket(server.place("away/"), { tryMs: 1000, retryMs: 10_000 });
		await store.put("kept", Buffer.from("kept"));
		await server.halt();
		const [put, found] = [store.put("late", Buffer.from("late")), store.find("kept")];
		expect(await whyOf(new Bucket(server.place("away/"), QUICK).find("kept"))).toContain("can't be reached");
		await server.resume();
		expect([await put, (await found)?.toString(), (await store.find("late"))?.toString()]).toEqual([undefined, "kept", "late"]);
	});
});

describe("a store that", () => {
	test("doesn't answer is given up, not waited for", async () => {
		await withServer(
			() => undefined,
			async (place) => {
				expect(await whyOf(new Bucket(place, QUICK).find("a"))).toContain("no answer within 0.3 s");
			},
		);
	});

	test("fails for a moment is asked again; one that refuses isn't", async () => {
		let left = 2;
		await withServer(
			(_, response) => {
				response.statusCode = left-- > 0 ? 503 : 200;
				response.end("<Error><Code>SlowDown</Code><Message>Reduce &amp; wait</Message></Error>");
			},
			async (place, asked) => {
				await new Bucket(place, { tryMs: 1000, retryMs: 5000 }).put("a", Buffer.from("1"));
				expect(asked()).toBe(3);
				left = 1000;
				expect(await whyOf(new Bucket(place, QUICK).put("a", Buffer.from("1")))).toContain("503 SlowDown: Reduce & wait");
			},
		);
		await withServer(
			(_, response) => {
				response.writeHead(301, { location: "http://127.0.0.1:1/" }).end();
			},
			async (place, asked) => {
				expect(await whyOf(new Bucket(place, QUICK).find("a"))).toContain("is the region right, us-east-1?");
				expect(asked()).toBe(1);
			},
		);
	});

	test("has more than fits into an answer is listed to its end", async () => {
		const all = Array.from({ length: 2500 }, (_, at) => `p&lt;/x/${String(at).padStart(5, "0")}`);
		await withServer(
			(request, response) => {
				const after = new URL(request.url ?? "", "http://s3").searchParams.get("start-after")?.replace("<", "&lt;") ?? "";
				const page = all.filter((key) => key > after).slice(0, 1000);
				const keys = page.map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`).join("");
				response.end(`<ListBucketResult><IsTruncated>${page.at(-1) !== all.at(-1)}</IsTruncated>${keys}</ListBucketResult>`);
			},
			async (place, asked) => {
				const found = await new Bucket({ ...place, prefix: "p</" }, QUICK).names("x/");
				expect([found.length, new Set(found).size, found.at(-1), asked()]).toEqual([2500, 2500, "02499", 3]);
			},
		);
	});

	test("has no account of that name, and says 404, hasn't said that there is no such object", async () => {
		await withServer(
			(_, response) => {
				response.statusCode = 404;
				response.end("<Error><Code>XAdminUserNotFound</Code><Message>No user exists</Message></Error>");
			},
			async (place) => {
				expect(await whyOf(new Bucket(place, QUICK).find("a"))).toContain("404 XAdminUserNotFound");
			},
		);
	});

	test("says of a copy that it failed after it said 200 is believed", async () => {
		await withServer(
			(_, response) => response.end("<Error><Code>InternalError</Code><Message>try again</Message></Error>"),
			async (place) => {
				expect(await whyOf(new Bucket(place, QUICK).copy("a", "b"))).toContain("InternalError: try again");
			},
		);
	});
});
