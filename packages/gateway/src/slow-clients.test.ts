import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { type ClientRequest, request } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { encodeStreamHead, KIB, MIB, type StreamPlace, streamKey, streamPath } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Cut } from "./server.js";
import { ended } from "./testing/settlements.js";
import { type Stack, startStack } from "./testing/stack.js";

const PLACES = 2;
const STALL_MS = 1500;
/** More than sockets hold. */
const STEADY_BYTES = 24 * MIB;
const PIECE = Buffer.alloc(64 * KIB, 120);

let redis: RedisServer;
let stack: Stack;
const cuts: Cut[] = [];
const clients = new Set<Socket>();
beforeAll(async () => {
	redis = await RedisServer.start();
	const onCut = (cut: Cut) => void cuts.push(cut);
	stack = await startStack(redis.url, {
		maxInflight: PLACES,
		bodyBytes: MIB,
		answerStallMs: STALL_MS,
		onCut,
	});
	await stack.deploy("open", { public: true });
});
afterEach(() => {
	for (const client of clients) client.destroy();
	clients.clear();
	cuts.length = 0;
});
afterAll(async () => {
	await stack?.close();
	await redis?.[Symbol.asyncDispose]();
});

/** A client that says this and no more. */
function say(words: string, { url } = stack): Socket {
	const socket = connect(Number(new URL(url).port), "127.0.0.1");
	clients.add(socket);
	// One that is cut off while it still writes.
	socket.on("error", () => undefined);
	socket.write(words);
	return socket;
}

/** An invocation whose answer is streamed. */
const streaming = (work: (sent: ClientRequest, cancelled: AbortSignal) => Promise<void>) =>
	stack.onInvocation(async ({ request: { id, stream }, cancelled }) => {
		const place = stream as StreamPlace;
		const socketPath = place.address.slice("unix:".length);
		const headers = { authorization: streamKey(place) };
		const sent = request({ socketPath, method: "PUT", path: streamPath(id), headers, agent: false });
		sent.on("error", () => undefined);
		sent.write(encodeStreamHead({ start: "warm", phases: { queueMs: 1, startMs: 1, initMs: 1, runMs: 1 } }));
		await work(sent, cancelled);
		return ended(cancelled.aborted ? "cancelled" : "succeeded", { streamed: { bytes: 1, firstMs: 1 } });
	});

/** So many bytes, each piece when the one before was taken, or until nobody wants them. */
async function pour(sent: ClientRequest, cancelled: AbortSignal, bytes: number): Promise<void> {
	const gone = new Promise<void>((resolve) => cancelled.addEventListener("abort", () => resolve()));
	for (let given = 0; given < bytes && !cancelled.aborted; given += PIECE.length)
		await Promise.race([new Promise<void>((resolve) => sent.write(PIECE, () => resolve())), gone]);
}

const post = (length: number) => `POST /fn/default/open HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`;
const answering = (bytes: number, { onInvocation, services } = stack) =>
	onInvocation(async () => {
		const key = await services.artifacts.payloads.put(Buffer.alloc(bytes, 120));
		return ended("succeeded", {}, { body: { payload: key, sizeBytes: bytes }, response: { status: 200, headers: [] } });
	});

describe("bodies that come slowly", () => {
	test("take no place from others, however many they are", async () => {
		stack.onInvocation(async () => ended("succeeded", {}, { body: { text: "1" } }));
		for (let i = 0; i < PLACES * 10; i++) await sent(post(100), "x");
		expect((await stack.fetch("/fn/default/open", { method: "POST", body: "x" })).status).toBe(200);
	});

	test("that hold too much together: who has sent nothing for the longest is told to come again, who sends is served", async () => {
		stack.onInvocation(async ({ request: { body } }) => ended("succeeded", {}, { body: { text: JSON.stringify(body) } }));
		const half = "x".repeat(400 * KIB);
		const first = await sent(post(MIB), half);
		const second = await sent(post(MIB), half);
		const answer = await stack.fetch("/fn/default/open", { method: "POST", body: "y".repeat(600 * KIB) });
		expect(await answer.text()).toContain(`"sizeBytes":${600 * KIB}`);
		expect(await text(first)).toMatch(/^HTTP\/1.1 429 .*"code":"too_busy"/s);
		second.write("x".repeat(MIB - 400 * KIB));
		const [head] = (await once(second, "data")) as [Buffer];
		expect(head.toString()).toContain("HTTP/1.1 200");
	});

	test("that come in chunks of a byte are held as the bytes they are", async () => {
		answering(1);
		const count = 200_000;
		const heldBefore = heldBytes();
		const client = await sent(
			"POST /fn/default/open HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
			"1\r\nx\r\n".repeat(count),
		);
		// A buffer for each would take 200 bytes.
		expect((heldBytes() - heldBefore) / count).toBeLessThan(40);
		client.write("0\r\n\r\n");
		const [head] = (await once(client, "data")) as [Buffer];
		expect(head.toString()).toContain("HTTP/1.1 200");
	});
});

describe("an answer that its client doesn't take", () => {
	const READS_NOTHING = "GET /fn/default/open HTTP/1.1\r\nhost: x\r\n\r\n";

	test("is cut off, and that is told; it takes no place meanwhile, and nothing of it is stored", async () => {
		answering(6 * MIB);
		const slow: Socket[] = [];
		// Each is answered, though none of them is read.
		while (slow.length < PLACES * 2) {
			const connected = once(stack.server, "connection") as Promise<[Socket]>;
			slow.push(say(READS_NOTHING).pause());
			const [accepted] = await connected;
			await expect.poll(() => accepted.bytesWritten).toBeGreaterThan(6 * MIB);
		}
		await expect.poll(() => readdir(join(stack.directory, "payloads"))).toEqual([]);
		await expect.poll(() => cuts.reduce((sum, { answers }) => sum + answers, 0)).toBe(slow.length);
		expect(cuts[0]?.bytes).toBeGreaterThan(MIB);
		const [client] = slow as [Socket];
		client.resume();
		await once(client, "close");
		expect(client.bytesRead).toBeLessThan(6 * MIB);
	});

	test("is cut off though the client sends something now and then", async () => {
		answering(6 * MIB);
		const client = say(READS_NOTHING);
		client.pause();
		const chatter = setInterval(() => client.write("\r\n"), 100);
		await expect.poll(() => cuts).toHaveLength(1);
		clearInterval(chatter);
	});

	test("but slowly is given to its end", async () => {
		answering(6 * MIB);
		const client = say(`${READS_NOTHING.slice(0, -2)}connection: close\r\n\r\n`);
		const startedAt = performance.now();
		let bytes = 0;
		client.pause();
		client.on("data", (chunk: Buffer) => {
			bytes += chunk.length;
			client.pause();
			setTimeout(() => client.resume(), 45);
		});
		client.resume();
		await once(client, "close");
		expect(bytes).toBeGreaterThan(6 * MIB);
		// Or it would prove nothing.
		expect(performance.now() - startedAt).toBeGreaterThan(STALL_MS);
		expect(cuts).toEqual([]);
	});

	test("and that is streamed is cut off, too: its invocation is cancelled, and its place another's", async () => {
		const ends: string[] = [];
		streaming(async (sent, cancelled) => {
			sent.once("close", () => ends.push("broken off"));
			await pour(sent, cancelled, Number.POSITIVE_INFINITY);
			ends.push("cancelled");
		});
		for (let n = 0; n < PLACES; n++) say(READS_NOTHING).pause();
		await expect.poll(() => ends, { timeout: 10_000 }).toHaveLength(PLACES * 2);
		expect(ends.toSorted()).toEqual(["broken off", "broken off", "cancelled", "cancelled"]);
		// The function hears of it first.
		await expect.poll(() => cuts.reduce((sum, { answers }) => sum + answers, 0)).toBe(PLACES);
		answering(1);
		await expect.poll(async () => (await stack.fetch("/fn/default/open")).status).toBe(200);
	});

	test("at once, while it is streamed, but steadily is given to its end", async () => {
		streaming(async (sent, cancelled) => {
			await pour(sent, cancelled, STEADY_BYTES);
			sent.end();
		});
		const client = say(READS_NOTHING);
		const startedAt = performance.now();
		let bytes = 0;
		let isOver = false;
		client.on("data", (chunk: Buffer) => {
			bytes += chunk.length;
			isOver ||= chunk.toString("latin1").endsWith("berth-outcome: succeeded\r\n\r\n");
			client.pause();
			setTimeout(() => client.resume(), 10);
		});
		await expect.poll(() => isOver || client.closed, { timeout: 30_000 }).toBe(true);
		expect([isOver, bytes > STEADY_BYTES, cuts]).toEqual([true, true, []]);
		// Or it would prove nothing.
		expect(performance.now() - startedAt).toBeGreaterThan(STALL_MS * 2);
	});

	test("goes before its time when all of them hold too much, and no more of them than must", async () => {
		await using other = await RedisServer.start();
		const crowded = await startStack(other.url, { answerStallMs: 60_000, answerBytes: 8 * MIB, onCut: (cut) => void cuts.push(cut) });
		try {
			await crowded.deploy("open", { public: true });
			answering(6 * MIB, crowded);
			for (const client of [say(READS_NOTHING, crowded), say(READS_NOTHING, crowded)]) client.pause();
			await expect.poll(() => cuts).toHaveLength(1);
			expect(cuts[0]?.answers).toBe(1);
			say(READS_NOTHING, crowded).pause();
			await expect.poll(() => cuts).toHaveLength(2);
		} finally {
			await crowded.close();
		}
	});
});

/** A client that says this, once the gateway, which is in this process, has read it. */
async function sent(...words: string[]): Promise<Socket> {
	const connected = once(stack.server, "connection") as Promise<[Socket]>;
	const client = say(words.join(""));
	const [accepted] = await connected;
	await expect.poll(() => accepted.bytesRead).toBe(words.join("").length);
	return client;
}

const collect = exposedGc();
function heldBytes(): number {
	collect();
	const { heapUsed, external } = process.memoryUsage();
	return heapUsed + external;
}

function exposedGc(): () => void {
	setFlagsFromString("--expose-gc");
	return runInNewContext("gc") as () => void;
}
