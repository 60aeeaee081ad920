import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { decodeStreamHead, FIXED_LIMITS, type InvocationRequest, type StreamPlace } from "@berth/contracts";
import type { Lease } from "@berth/sandbox";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AttemptStreams } from "./attempt-streams.js";
import { GatewayPlaces } from "./gateway-place.js";

const ID = "inv_1";
const PHASES = { queueMs: 1, startMs: 2, initMs: 3, runMs: 4 };

let directory: string;
let gateway: Server;
let places: GatewayPlaces;
let streams: AttemptStreams;
/** What the gateway does when it is asked. */
let serve: (request: IncomingMessage, response: ServerResponse) => unknown;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "worker-streams-"));
	const path = join(directory, "gateway.sock");
	gateway = createServer((request, response) => serve(request, response));
	await once(gateway.listen(path), "listening");
	places = new GatewayPlaces();
	const stream: StreamPlace = { address: `unix:${path}`, token: "t", hasBody: true };
	const request = { id: ID, stream } as InvocationRequest & { readonly stream: StreamPlace };
	streams = new AttemptStreams(places, request, 1000, () => ({ phases: PHASES, start: "warm" }));
});
afterEach(async () => {
	places.close();
	gateway.closeAllConnections();
	gateway.close();
	await rm(directory, { recursive: true });
});

/** Writes a piece; resolves when it was taken. */
const written = (text: string) => new Promise<void>((resolve) => streams.answer.write(Buffer.from(text), resolve));
const gone = () =>
	new Promise<void>((resolve) => {
		streams.answer.onGone = resolve;
	});
const begin = () => streams.answer.begin({ id: ID, attempt: 1, contentType: "text/plain" });
const leaseOf = (takesBody: boolean) => ({ sandbox: { takesBody } }) as unknown as Lease;

describe("an answer on its way to its gateway", () => {
	test("is one request with the invocation's key: its head, then the answer", async () => {
		const got = Promise.withResolvers<readonly unknown[]>();
		serve = async (request, response) => {
			const { method, url, headers } = request;
			const decoded = decodeStreamHead(await buffer(request));
			response.writeHead(204).end();
			got.resolve([method, url, headers.authorization, decoded?.head, decoded?.rest.toString()]);
		};
		begin();
		await written("a");
		await written("b");
		streams.end(true);
		expect(await got.promise).toEqual([
			"PUT",
			"/streams/inv_1",
			"Bearer t",
			{ phases: PHASES, start: "warm", contentType: "text/plain" },
			"ab",
		]);
		expect(streams.answer.isGone).toBe(false);
	});

	test("that fails right away has come as far as it was given", async () => {
		const got = Promise.withResolvers<string>();
		serve = (request) => {
			const chunks: Buffer[] = [];
			request.on("data", (chunk: Buffer) => void chunks.push(chunk));
			request.on("error", () => got.resolve(decodeStreamHead(Buffer.concat(chunks))?.rest.toString() ?? "nothing"));
		};
		begin();
		streams.answer.write(Buffer.from("a"), () => undefined);
		streams.end(false);
		expect(await got.promise).toBe("a");
	});

	test("that failed breaks off", async () => {
		const broken = Promise.withResolvers<unknown>();
		serve = (request) => buffer(request).then(() => "whole", broken.resolve);
		begin();
		await written("a");
		streams.end(false);
		expect(await broken.promise).toBeInstanceOf(Error);
		expect(streams.answer.isGone).toBe(false);
	});

	test.each([
		["goes away", (request: IncomingMessage) => void request.socket.destroy()],
		["doesn't want it", (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(404).end()],
	])("that its gateway %s is told of once", async (_, does) => {
		serve = does;
		const told = gone();
		begin();
		streams.answer.write(Buffer.from("a"), () => undefined);
		await told;
		expect(streams.answer.isGone).toBe(true);
		// What comes later is nobody's, and no error.
		streams.answer.write(Buffer.from("b"), () => undefined);
		streams.end(true);
	});

	test("waits for its gateway to take it", async () => {
		serve = (request) => void request.pause();
		begin();
		const piece = "x".repeat(32 << 10);
		await written(piece);
		let taken = 1;
		const stuck = Symbol("stuck");
		const orStuck = () => new Promise((resolve) => setTimeout(resolve, 300, stuck));
		while ((await Promise.race([written(piece), orStuck()])) !== stuck) taken++;
		expect(taken).toBeLessThan(100);
	});
});

describe("a request's body that comes in pieces", () => {
	test("is asked for when its sandbox takes it so", async () => {
		serve = (_request, response) => void response.end("body");
		expect(await streams.payloadFor(leaseOf(true))).toHaveLength(0);
		expect(await buffer(streams.body as IncomingMessage)).toEqual(Buffer.from("body"));
	});

	test("is too large for a sandbox that doesn't", async () => {
		const refused = streams.payloadFor(leaseOf(false));
		await expect(refused).rejects.toMatchObject({ code: "body_too_large", extra: { limitBytes: FIXED_LIMITS.bodyBytes } });
	});

	test("that is gone cancels the attempt", async () => {
		serve = (_request, response) => void response.writeHead(404).end();
		await expect(streams.payloadFor(leaseOf(true))).rejects.toMatchObject({ code: "cancelled" });
	});
});
