import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { problemOf } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ApiError, type Client, ConnectionError, createClient, parseServerTiming, resultOf } from "./index.js";

interface Seen {
	method: string | undefined;
	url: string | undefined;
	headers: IncomingMessage["headers"];
	body: string;
}

/** A real HTTP server that answers as the test says and keeps what it was asked. */
class Answering implements AsyncDisposable {
	readonly seen: Seen[] = [];
	readonly sockets = new Set<unknown>();
	answer: (response: ServerResponse) => void = (response) => response.end("{}");
	readonly #server: Server = createServer(async (request, response) => {
		this.sockets.add(request.socket);
		const chunks: Buffer[] = [];
		for await (const chunk of request) chunks.push(chunk as Buffer);
		this.seen.push({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() });
		this.answer(response);
	});

	async start(): Promise<string> {
		await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => this.#server.close(resolve));
	}
}

let server: Answering;
let client: Client;
let url: string;

beforeEach(async () => {
	server = new Answering();
	url = await server.start();
	client = createClient({ url, key: "k" });
});
afterEach(async () => {
	await client.close();
	await server[Symbol.asyncDispose]();
});

const problem =
	(status: number, body: unknown, headers: Record<string, string> = {}) =>
	(response: ServerResponse) =>
		response.writeHead(status, { "content-type": "application/problem+json", ...headers }).end(JSON.stringify(body));

describe("deploy", () => {
	test("sends the source with the key and waits unless told not to", async () => {
		await client.deploy("hello", { source: "export default () => 1", memoryMiB: 256 });
		await client.deploy("hello", { source: "x" }, { wait: false });
		expect(server.seen[0]).toMatchObject({ method: "PUT", url: "/v1/functions/hello?wait=true", headers: { authorization: "Bearer k" } });
		expect(JSON.parse(server.seen[0]?.body ?? "")).toEqual({ source: "export default () => 1", memoryMiB: 256 });
		expect(server.seen[1]?.url).toBe("/v1/functions/hello");
	});

	test("an archive's manifest survives the header, whatever characters it has", async () => {
		const manifest = { env: { GREETING: "grüß dich 🙂\n" } };
		await client.deployArchive("hello", { kind: "zip", bytes: Buffer.from("PK"), manifest });
		expect(server.seen[0]).toMatchObject({ headers: { "content-type": "application/zip" }, body: "PK" });
		expect(JSON.parse(server.seen[0]?.headers["berth-manifest"] as string)).toEqual(manifest);
	});

	test("a refusal is an ApiError with the whole problem", async () => {
		const refusal = problemOf("invalid_manifest", "memoryMiB is wrong.", [{ field: "memoryMiB", message: "at least 64" }]);
		server.answer = problem(400, refusal);
		const error = await client.deploy("hello", { source: "x", memoryMiB: 1 }).catch((thrown: unknown) => thrown);
		expect(error).toBeInstanceOf(ApiError);
		expect((error as ApiError).problem).toEqual(refusal);
	});
});

test("a version's source comes back as the bytes it was handed in as; without one it is an ApiError", async () => {
	const bytes = Buffer.from([0x1f, 0x8b, 0xff, 0]);
	server.answer = (response) => response.writeHead(200, { "content-type": "application/gzip" }).end(bytes);
	expect(await client.source("hello", 3)).toEqual(bytes);
	expect(server.seen[0]).toMatchObject({ method: "GET", url: "/v1/functions/hello/versions/3/source" });
	server.answer = problem(404, problemOf("function_not_found", "no hello:4"));
	await expect(client.source("hello", 4)).rejects.toMatchObject({ name: "ApiError", status: 404 });
});

describe("invoke", () => {
	const invocation = {
		"berth-invocation-id": "inv_1",
		"berth-outcome": "succeeded",
		"server-timing": "queue;dur=0.2, start;desc=warm;dur=0",
	};

	test("gives the value, the id and the raw answer with its timing", async () => {
		server.answer = (response) => response.writeHead(200, { ...invocation, "content-type": "application/json" }).end('{"a":1}');
		const answer = await client.invoke("hello", { json: { name: "x" } }, { timeoutMs: 500 });
		expect(answer).toMatchObject({ id: "inv_1", outcome: "succeeded" });
		expect(resultOf(answer)).toEqual({ a: 1 });
		expect(answer.raw.timing.totalMs).toBeGreaterThanOrEqual(answer.raw.timing.headersMs);
		expect(server.seen[0]?.headers).toMatchObject({ "content-type": "application/json", "berth-timeout-ms": "500" });
	});

	test("a function's failure is a value with its problem", async () => {
		server.answer = problem(502, problemOf("handler_error", "boom"), { ...invocation, "berth-outcome": "handler_error" });
		expect(await client.invoke("hello")).toMatchObject({ outcome: "handler_error", problem: { code: "handler_error", detail: "boom" } });
	});

	test("what was never run is an ApiError", async () => {
		server.answer = problem(404, problemOf("function_not_found", "no hello"));
		await expect(client.invoke("hello")).rejects.toMatchObject({ name: "ApiError", status: 404 });
	});

	test("asks for the background lane and gives the accepted id", async () => {
		server.answer = (response) => response.writeHead(202).end('{"id":"inv_2","state":"queued"}');
		expect(await client.invokeAsync("hello", { bytes: "raw", contentType: "text/plain" })).toEqual({ id: "inv_2", state: "queued" });
		expect(server.seen[0]).toMatchObject({ body: "raw", headers: { prefer: "respond-async", "content-type": "text/plain" } });
	});

	test("connections are kept: requests that follow each other don't open one each", async () => {
		server.answer = (response) => response.writeHead(200, invocation).end();
		for (let i = 0; i < 20; i++) await client.invoke("hello");
		expect(server.sockets.size).toBeLessThanOrEqual(2);
	});
});

test("a function's own URL gets method, path, headers and body, and its answer comes back untouched", async () => {
	server.answer = (response) => response.writeHead(418, { "x-tea": "yes" }).end("short");
	const answer = await client.request("default", "pot", { method: "PATCH", path: "/a%20b?c=1", headers: { "x-in": "1" }, body: "b" });
	expect(server.seen[0]).toMatchObject({ method: "PATCH", url: "/fn/default/pot/a%20b?c=1", body: "b", headers: { "x-in": "1" } });
	expect(answer).toMatchObject({ status: 418, headers: { "x-tea": "yes" } });
});

test("a hook is followed through a connection that breaks, after the last delivery that came, until it is gone", async () => {
	const delivery = (revision: number) => `id: ${revision}\nevent: delivery\ndata: {"id":"evt_${revision}","revision":${revision}}\n\n`;
	const answers = [delivery(7), `${delivery(9)}event: end\ndata: {}\n\n`];
	server.answer = (response) => response.writeHead(200, { "content-type": "text/event-stream" }).end(answers.shift());
	const came: string[] = [];
	for await (const { id } of client.followHook("shop", "github")) came.push(id);
	expect(came).toEqual(["evt_7", "evt_9"]);
	expect(server.seen.map(({ url: path, headers }) => [path, headers["last-event-id"]])).toEqual([
		["/v1/functions/shop/hooks/github/events", undefined],
		["/v1/functions/shop/hooks/github/events", "7"],
	]);
	server.answer = problem(404, problemOf("hook_not_found", "gone"));
	await expect(client.followHook("shop", "github").next()).rejects.toMatchObject({ status: 404 });
	// What ends with a problem isn't asked for again.
	const revoked = JSON.stringify(problemOf("unauthorized", "revoked"));
	server.answer = (response) =>
		response.writeHead(200, { "content-type": "text/event-stream" }).end(`event: problem\ndata: ${revoked}\n\n`);
	await expect(client.followHook("shop", "github").next()).rejects.toMatchObject({ name: "ApiError", status: 401, message: "revoked" });
	server.answer = (response) => response.end("{}");
	await client.hookEvents("shop", "github", { result: "failed", search: "a b", limit: 3 });
	expect(server.seen.at(-1)?.url).toBe("/v1/functions/shop/hooks/github/events?result=failed&search=a+b&limit=3");
});

test("logs and events are followed through a gateway that starts again and takes no work yet; what is wrong for good ends it", async () => {
	const stop = new AbortController();
	const line = (text: string) => `id: 1000-1-0a1b2c3d\nevent: line\ndata: {"text":"${text}"}\n\n`;
	const refused = { node: "n1", code: "too_busy", detail: "64 watch" };
	const stream = (text: string) => (response: ServerResponse) =>
		response
			.writeHead(200, { "content-type": "text/event-stream" })
			.end(`event: refused\ndata: ${JSON.stringify(refused)}\n\nevent: following\ndata: {"nodes":["${text}"]}\n\n${line(text)}`);
	const answers = [stream("before"), problem(503, problemOf("unavailable", "The durable Redis is away.")), stream("after")];
	server.answer = (response) => answers.shift()?.(response);
	const lines: string[] = [];
	const told: unknown[] = [];
	await client.followLogs(
		{},
		{
			onRefused: (one) => told.push(one),
			onFollowing: ({ nodes }) => told.push(nodes),
			signal: stop.signal,
			onLine: ({ text }) => {
				lines.push(text);
				if (text === "after") stop.abort();
			},
		},
	);
	expect([lines, told]).toEqual([
		["before", "after"],
		[refused, ["before"], refused, ["after"]],
	]);
	server.answer = problem(404, problemOf("function_not_found", "no hello"));
	await expect(client.followEvents({ function: "hello" }, { onEvent: () => undefined })).rejects.toMatchObject({ status: 404 });
});

test("readiness is a value: a gateway that can't take work says why", async () => {
	server.answer = problem(503, problemOf("unavailable", "The durable Redis is away."));
	expect(await client.ready()).toEqual({ ready: false, detail: "The durable Redis is away." });
});

test("an error page that isn't ours still tells what came", async () => {
	server.answer = (response) => response.writeHead(502).end("<h1>Bad gateway</h1>");
	await expect(client.list()).rejects.toMatchObject({ status: 502, message: "HTTP 502: <h1>Bad gateway</h1>" });
});

test("nobody listening is a ConnectionError that names the URL, and trace hears of it", async () => {
	const traced: unknown[] = [];
	await using lonely = createClient({ url: "http://127.0.0.1:1", trace: (exchange) => traced.push(exchange) });
	const error = await lonely.list().catch((thrown: unknown) => thrown);
	expect(error).toBeInstanceOf(ConnectionError);
	expect((error as Error).message).toMatch(/^http:\/\/127\.0\.0\.1:1 doesn't answer: .*ECONNREFUSED/);
	expect(traced).toMatchObject([{ method: "GET", url: "http://127.0.0.1:1/v1/functions" }]);
});

describe("a streamed answer", () => {
	const head = { "berth-invocation-id": "inv_1", "berth-version": "1" };

	test("whose pieces its caller fails to take fails with the caller's own error", async () => {
		server.answer = (response) => response.writeHead(200, { ...head, trailer: "Berth-Outcome" }).end("piece");
		const own = new RangeError("the disk is full");
		const onPiece = async () => {
			throw own;
		};
		await expect(client.invoke("hello", undefined, { onPiece })).rejects.toBe(own);
	});

	test("is one without its trailer, too, as a proxy leaves it; what breaks off is a CutError then as well", async () => {
		const pieces: string[] = [];
		const onPiece = (piece: Uint8Array) => void pieces.push(Buffer.from(piece).toString());
		server.answer = (response) => {
			response.writeHead(200, head).write("piece");
			response.end();
		};
		expect(await client.invoke("hello", undefined, { onPiece })).toMatchObject({ id: "inv_1", outcome: "succeeded" });
		expect(pieces).toEqual(["piece"]);
		server.answer = (response) => void response.writeHead(200, head).write("piece", () => response.destroy());
		await expect(client.invoke("hello", undefined, { onPiece })).rejects.toMatchObject({ name: "CutError", invocationId: "inv_1" });
	});
});

test("an aborted request rejects with the signal's reason", async () => {
	server.answer = () => undefined;
	const reason = new Error("enough");
	await expect(client.invoke("slow", undefined, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test("Server-Timing is read by name, in either order of its parameters", () => {
	expect(parseServerTiming('queue;dur=0.25, start;desc="prewarmed";dur=1.5,run;dur=x')).toEqual({
		queue: { durationMs: 0.25 },
		start: { durationMs: 1.5, description: "prewarmed" },
		run: {},
	});
	expect(parseServerTiming(undefined)).toEqual({});
});
