import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { buffer, text } from "node:stream/consumers";
import {
	encodeStreamHead,
	type InvocationRequest,
	MIB,
	type Outcome,
	type StreamHead,
	type StreamPlace,
	streamKey,
	streamPath,
} from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "../testing/own-stack.js";
import { ended } from "../testing/settlements.js";

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

const STALL_MS = 1000;
const PLACES = 8;

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ open: { public: true } }, { bodyBytes: 28 * MIB, bodyStallMs: STALL_MS, maxInflight: PLACES });
});
afterAll(() => stack?.close());

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

	const streamed = (status: number, outcome: Outcome) =>
		answering(async (asked) => {
			const sent = put(asked);
			sent.write(encodeStreamHead({ ...HEAD, response: { status, headers: [] } }));
			await new Promise((resolve) => sent.write("some", resolve));
			sent.end(" more");
			return outcome;
		});

	test("ends with its connection for a client of HTTP/1.0, as proxies are, and one that fails with a reset", async () => {
		streamed(201, "succeeded");
		const answer = await raw("GET /fn/default/open HTTP/1.0");
		expect(answer).toMatch(/^HTTP\/1\.1 201 .*\r\n\r\nsome more$/s);
		expect(answer).not.toMatch(/transfer-encoding|trailer/i);
		streamed(201, "handler_error");
		await expect(raw("GET /fn/default/open HTTP/1.0")).rejects.toMatchObject({ code: "ECONNRESET" });
	});

	test.each([204, 304])("with a status that has no body (%i) is a head, with the outcome in it", async (status) => {
		streamed(status, "succeeded");
		const answer = await raw();
		expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} .*\r\nberth-outcome: succeeded\r\n.*\r\n\r\n$`, "s"));
		expect(answer).not.toMatch(/transfer-encoding|trailer/i);
		streamed(status, "handler_error");
		expect(await raw()).toBe("");
	});

	test("with a status that there is none of says so", async () => {
		answering(async (asked) => {
			const sent = put(asked);
			sent.write(encodeStreamHead({ ...HEAD, response: { status: 700, headers: [] } }));
			await new Promise((resolve) => sent.once("close", resolve));
			return "cancelled";
		});
		expect(await raw()).toMatch(/^HTTP\/1\.1 502 .*"code":"handler_error"/s);
	});

	test("that was streamed to a client of HTTP/1.0 under a key is known to have succeeded when it is asked for again", async () => {
		streamed(201, "succeeded");
		const head = (version: string) =>
			`POST /v1/functions/open/invocations HTTP/${version}\r\nauthorization: Bearer ${stack.key}\r\nidempotency-key: old-proxy\r\ncontent-length: 0`;
		expect(await raw(head("1.0"))).toMatch(/^HTTP\/1\.1 201 .*some more$/s);
		expect(await raw(head("1.1"))).toMatch(/^HTTP\/1\.1 201 .*berth-outcome: succeeded\r\n.*some more$/s);
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

describe("a request's body that is larger than is held", () => {
	const LARGE = 6 * MIB + 1;

	/** What a worker gets of it. */
	async function bodyOf({ id, stream }: InvocationRequest): Promise<IncomingMessage> {
		const { address, ...place } = stream as StreamPlace;
		const key = streamKey({ address, ...place });
		const asked = request({
			socketPath: address.slice("unix:".length),
			path: streamPath(id),
			headers: { authorization: key },
			agent: false,
		});
		asked.end();
		const [answer] = (await once(asked, "response")) as [IncomingMessage];
		return answer;
	}

	/** A client that sends its head and this much. */
	function begin(head: string, body: Buffer) {
		const socket = connect(Number(new URL(stack.url).port), "127.0.0.1");
		socket.on("error", () => undefined);
		socket.write(`POST /fn/default/open HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${head}\r\n\r\n`);
		socket.write(body);
		return socket;
	}

	test.each([
		["declared", { duplex: undefined }],
		["chunked", { duplex: "half" }],
	])("(%s) is the worker's as it comes, byte for byte", async (kind, init) => {
		const sent = Buffer.alloc(LARGE, "0123456789abcdef");
		const got = Promise.withResolvers<Buffer>();
		stack.onInvocation(async ({ request: asked }) => {
			expect([asked.stream?.hasBody, asked.body]).toEqual([true, { text: "" }]);
			got.resolve(await buffer(await bodyOf(asked)));
			return ended("succeeded", {}, { body: { text: "1" } });
		});
		const body = kind === "declared" ? sent : ReadableStream.from([sent.subarray(0, MIB), sent.subarray(MIB)]);
		const answer = await stack.fetch("/fn/default/open", { method: "POST", body, ...(init as object) });
		expect(await answer.text()).toBe("1");
		expect((await got.promise).equals(sent)).toBe(true);
	});

	test("begins before it is whole, and breaks off with its client", async () => {
		const over = Promise.withResolvers<unknown>();
		stack.onInvocation(async ({ request: asked }) => {
			const body = await bodyOf(asked);
			await once(body, "data");
			client.destroy();
			over.resolve(await buffer(body).catch((error: unknown) => error));
			return ended("handler_error");
		});
		const client = begin(`content-length: ${LARGE}`, Buffer.alloc(MIB));
		expect(await over.promise).toBeInstanceOf(Error);
	});

	test("whose client stops sending while it is waited for breaks off: 408, its place is another's, and so is what was held", async () => {
		const broken: unknown[] = [];
		stack.onInvocation(async ({ request: asked }) => {
			broken.push(
				await buffer(await bodyOf(asked)).then(
					() => "whole",
					() => "broken off",
				),
			);
			return ended("handler_error");
		});
		const chunk = Buffer.concat([Buffer.from(`${LARGE.toString(16)}\r\n`), Buffer.alloc(LARGE)]);
		const silent = Array.from({ length: PLACES }, async (_, n) => {
			// Half of them don't say how much it will be: what has come of these is held.
			const client = n % 2 === 0 ? begin("transfer-encoding: chunked", chunk) : begin(`content-length: ${LARGE}`, Buffer.alloc(MIB));
			return await text(client);
		});
		for (const answer of await Promise.all(silent)) {
			const refused = /^HTTP\/1\.1 429 .*"code":"too_busy"/s.test(answer);
			if (!refused) expect(answer).toMatch(/^HTTP\/1\.1 408 .*less than 64 KiB of the body came in 1 s.*"code":"request_timeout"/s);
		}
		expect(broken.length).toBeGreaterThanOrEqual(PLACES / 2);
		expect(new Set(broken)).toEqual(new Set(["broken off"]));
		stack.onInvocation(async ({ request: asked }) => {
			await buffer(await bodyOf(asked));
			return ended("succeeded", {}, { body: { text: "1" } });
		});
		const whole = () => {
			const body = ReadableStream.from(Array.from({ length: 7 }, () => Buffer.alloc(MIB)));
			return stack.fetch("/fn/default/open", { method: "POST", body, duplex: "half" } as RequestInit);
		};
		expect((await Promise.all([whole(), whole()])).map(({ status }) => status)).toEqual([200, 200]);
	});

	test("may have as much as its version allows: what declares more is refused before anything runs, what has more breaks off", async () => {
		await stack.deploy("small", { public: true, streamMiB: 7 });
		const refused = await stack.fetch("/fn/default/small", { method: "POST", body: Buffer.alloc(8 * MIB) });
		expect([refused.status, await refused.json()]).toMatchObject([413, { code: "body_too_large", limitBytes: 7 * MIB }]);
		stack.onInvocation(async ({ request: asked }) => {
			await buffer(await bodyOf(asked)).catch(() => undefined);
			return ended("handler_error");
		});
		const body = ReadableStream.from(Array.from({ length: 8 }, () => Buffer.alloc(MIB)));
		const cut = await stack.fetch("/fn/default/small", { method: "POST", body, duplex: "half" } as RequestInit);
		expect([cut.status, await cut.json()]).toMatchObject([413, { code: "body_too_large", limitBytes: 7 * MIB }]);
	});

	test.each([1, LARGE])("of %i bytes is asked for when its client waits for that", async (bytes) => {
		stack.onInvocation(async ({ request: asked }) => {
			const read = asked.stream?.hasBody === true ? (await buffer(await bodyOf(asked))).length : JSON.stringify(asked.body).length;
			return ended("succeeded", {}, { body: { text: String(read) } });
		});
		const client = begin(`content-length: ${bytes}\r\nexpect: 100-continue`, Buffer.alloc(0));
		const [first] = (await once(client, "data")) as [Buffer];
		expect(first.toString()).toBe("HTTP/1.1 100 Continue\r\n\r\n");
		client.write(Buffer.alloc(bytes, "x"));
		expect(await text(client)).toMatch(/^HTTP\/1\.1 200 /);
	});

	test("holds its beginning until its worker asks, within half of the room for bodies: one beyond it is told to come again", async () => {
		const waiting: InvocationRequest[] = [];
		const both = Promise.withResolvers<void>();
		const over = Promise.withResolvers<void>();
		stack.onInvocation(async ({ request: asked }) => {
			waiting.push(asked);
			if (waiting.length === 2) both.resolve();
			await over.promise;
			await buffer(await bodyOf(asked));
			return ended("succeeded", {}, { body: { text: "1" } });
		});
		const send = () => {
			const body = ReadableStream.from(Array.from({ length: 7 }, () => Buffer.alloc(MIB)));
			return stack.fetch("/fn/default/open", { method: "POST", body, duplex: "half" } as RequestInit);
		};
		const sent = [send(), send()];
		await both.promise;
		const refused = await send();
		expect([refused.status, await refused.json()]).toMatchObject([429, { code: "too_busy" }]);
		over.resolve();
		for (const answer of await Promise.all(sent)) expect(answer.status).toBe(200);
		expect((await send()).status).toBe(200);
	});

	test("that nobody reads doesn't keep its client from the answer", async () => {
		stack.onInvocation(async () => ended("succeeded", {}, { body: { text: "without it" } }));
		const client = begin(`content-length: ${LARGE}`, Buffer.alloc(MIB));
		expect(await text(client)).toContain("without it");
	});
});
