import { once } from "node:events";
import { type ClientRequest, request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import {
	encodeStreamHead,
	type InvocationRequest,
	type Outcome,
	type StreamHead,
	type StreamPlace,
	streamKey,
	streamPath,
} from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ended } from "../testing/settlements.js";
import { type Stack, startStack } from "../testing/stack.js";

const STREAMED = { streamed: { bytes: 1, firstMs: 1 } };
const HEAD: StreamHead = {
	start: "warm",
	phases: { queueMs: 1, startMs: 2, initMs: 3, runMs: 4 },
	response: {
		status: 201,
		headers: [
			["content-type", "text/event-stream"],
			["berth-outcome", "forged"],
		],
	},
};

let redis: RedisServer;
let stack: Stack;
beforeAll(async () => {
	redis = await RedisServer.start();
	stack = await startStack(redis.url);
	await stack.deploy("open", { public: true });
});
afterAll(async () => {
	await stack?.close();
	await redis?.[Symbol.asyncDispose]();
});

/** What a worker does to answer. */
function put({ id, stream }: InvocationRequest, place = stream as StreamPlace): ClientRequest {
	const socketPath = place.address.slice("unix:".length);
	const sent = request({ socketPath, method: "PUT", path: streamPath(id), headers: { authorization: streamKey(place) }, agent: false });
	sent.on("error", () => undefined);
	return sent;
}

/** An invocation whose worker does so. @returns its end, for the worker to wait for */
function answering(work: (asked: InvocationRequest, cancelled: AbortSignal) => Promise<Outcome>): void {
	stack.onInvocation(async (delivery) => ended(await work(delivery.request, delivery.cancelled), STREAMED));
}

/** Everything that a client has of an answer, as it came. */
async function raw(head = "GET /fn/default/open HTTP/1.1"): Promise<string> {
	const socket = connect(Number(new URL(stack.url).port), "127.0.0.1");
	socket.on("error", () => undefined);
	socket.write(`${head}\r\nhost: x\r\n${head.includes("HTTP/1.0") ? "" : "connection: close\r\n"}\r\n`);
	return await text(socket);
}

describe("an answer in pieces", () => {
	test("reaches its client as it comes, the outcome last; what only the gateway says nobody else does", async () => {
		const read = Promise.withResolvers<void>();
		answering(async (asked) => {
			const sent = put(asked);
			sent.write(encodeStreamHead(HEAD));
			sent.write("first");
			await read.promise;
			sent.end("second");
			return "succeeded";
		});
		const answer = await stack.fetch("/fn/default/open");
		expect([answer.status, answer.headers.get("content-type"), answer.headers.get("berth-outcome")]).toEqual([
			201,
			"text/event-stream",
			null,
		]);
		expect(answer.headers.get("server-timing")).toContain("run;dur=4.00");
		const reader = answer.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
		expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("first");
		read.resolve();
		expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("second");
		expect((await reader.read()).done).toBe(true);
	});

	test("has its outcome in a trailer, and its head before any of it is there", async () => {
		answering(async (asked) => {
			const sent = put(asked);
			const head = encodeStreamHead(HEAD);
			// In two pieces, as a connection may have it.
			sent.write(head.subarray(0, 3));
			await new Promise((resolve) => setImmediate(resolve));
			sent.end(head.subarray(3));
			return "succeeded";
		});
		const answer = await raw();
		expect(answer).toMatch(/^HTTP\/1\.1 201 .*\r\ntrailer: Berth-Outcome\r\n/s);
		expect(answer).toMatch(/\r\n\r\n0\r\nberth-outcome: succeeded\r\n\r\n$/);
	});

	test.each([
		["its function fails", (sent: ClientRequest) => sent.end(), "handler_error"],
		["its worker breaks off", (sent: ClientRequest) => sent.destroy(), "succeeded"],
	] as const)("is cut off when %s: it doesn't look like one that ended", async (_, finish, outcome) => {
		answering(async (asked) => {
			const sent = put(asked);
			sent.write(encodeStreamHead(HEAD));
			await new Promise((resolve) => sent.write("some", resolve));
			finish(sent);
			return outcome;
		});
		const answer: string = await raw();
		expect(answer).toMatch(/^HTTP\/1\.1 201 /);
		expect(answer).not.toMatch(/\r\n0\r\n/);
	});

	test("that its invocation's end tells of and that never comes is cut off, not waited for", async () => {
		answering(async () => "succeeded");
		expect(await raw()).toBe("");
	}, 10_000);

	test("is had from nobody without the invocation's own key, and once", async () => {
		const statuses: (number | undefined)[] = [];
		const statusOf = async (sent: ClientRequest) => {
			const [{ statusCode }] = (await once(sent, "response")) as [{ readonly statusCode: number }];
			statuses.push(statusCode);
		};
		answering(async (asked) => {
			const place = asked.stream as StreamPlace;
			await statusOf(put(asked, { ...place, token: "0".repeat(place.token.length) }).end());
			await statusOf(put({ ...asked, id: `${asked.id}x` }).end());
			const sent = put(asked);
			sent.write(encodeStreamHead(HEAD));
			await new Promise((resolve) => sent.write("mine", resolve));
			await statusOf(put(asked).end("another's"));
			await statusOf(sent.end());
			await statusOf(put(asked).end("late"));
			return "succeeded";
		});
		expect(await raw()).toMatch(/mine/);
		expect(statuses).toEqual([404, 404, 404, 204, 404]);
	});

	test("whose client goes away is refused further, and its invocation cancelled", async () => {
		const over = Promise.withResolvers<string>();
		answering(async (asked, cancelled) => {
			const sent = put(asked);
			sent.write(encodeStreamHead(HEAD));
			sent.write("some");
			await Promise.all([new Promise((resolve) => sent.once("close", resolve)), once(cancelled, "abort")]);
			over.resolve("gone");
			return "cancelled";
		});
		const aborter = new AbortController();
		const answer = await stack.fetch("/fn/default/open", { signal: aborter.signal });
		expect(answer.status).toBe(201);
		aborter.abort();
		expect(await over.promise).toBe("gone");
	});

	test("is no faster than its client reads, and holds nothing but what is on its way", async () => {
		const piece = Buffer.alloc(64 << 10);
		let sentBytes = 0;
		const stuck = Promise.withResolvers<number>();
		answering(async (asked, cancelled) => {
			const sent = put(asked);
			sent.write(encodeStreamHead(HEAD));
			while (!cancelled.aborted) {
				const isStuck = setTimeout(() => stuck.resolve(sentBytes), 500);
				const written = new Promise<void>((resolve) => sent.write(piece, () => resolve()));
				await Promise.race([written, once(cancelled, "abort")]);
				clearTimeout(isStuck);
				sentBytes += piece.length;
			}
			return "cancelled";
		});
		const socket = connect(Number(new URL(stack.url).port), "127.0.0.1");
		socket.pause();
		socket.write("GET /fn/default/open HTTP/1.1\r\nhost: x\r\n\r\n");
		expect(await stuck.promise).toBeLessThan(16 << 20);
		socket.destroy();
	});
});
