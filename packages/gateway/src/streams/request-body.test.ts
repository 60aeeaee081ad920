import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { MIB, SECOND_MS, type Version } from "@berth/contracts";
import type { Request } from "express";
import { afterEach, expect, test, vi } from "vitest";
import { Bodies } from "../body.js";
import { RequestBody } from "./request-body.js";
import { Streams } from "./streams.js";

const servers: Server[] = [];
afterEach(() => {
	vi.useRealTimers();
	for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** A server, and the first request that it gets. */
async function served(): Promise<{ readonly port: number; readonly first: Promise<[IncomingMessage, ServerResponse]> }> {
	const server = createServer();
	servers.push(server);
	const first = once(server, "request") as Promise<[IncomingMessage, ServerResponse]>;
	await once(server.listen(0, "127.0.0.1"), "listening");
	return { port: (server.address() as AddressInfo).port, first };
}

/** A connection that takes nothing until it may: corked, the end of an answer would uncork it. */
function stall(socket: Socket): () => void {
	const { _write, _writev } = socket;
	let held: () => void = () => undefined;
	socket._write = (...given) => {
		held = () => _write.apply(socket, given);
	};
	socket._writev = (...given) => {
		held = () => _writev?.apply(socket, given);
	};
	return () => {
		Object.assign(socket, { _write, _writev });
		held();
	};
}

test("a body that is all there isn't too slow, however long its worker takes to read the end of it", async () => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
	const [gateway, inner] = await Promise.all([served(), served()]);
	const client = request({ port: gateway.port, method: "POST", headers: { "content-length": 6 * MIB + 1 } });
	client.on("error", () => undefined).flushHeaders();
	const [asked] = await gateway.first;
	const version = { manifest: { streamMiB: 7 } } as Version;
	const body = (await RequestBody.of(
		asked as Request,
		new Bodies(28 * MIB),
		version,
		new Streams("nowhere", 30 * SECOND_MS),
	)) as RequestBody;
	const worker = request({ port: inner.port }).end();
	const [, toWorker] = await inner.first;
	body.give(toWorker);
	client.write(Buffer.alloc(6 * MIB));

	const [read] = (await once(worker, "response")) as [IncomingMessage];
	let bytes = 0;
	const most = Promise.withResolvers<void>();
	const over = new Promise((resolve) => read.once("end", () => resolve("whole")).once("error", resolve));
	read.on("data", (chunk: Buffer) => {
		bytes += chunk.length;
		if (bytes === 6 * MIB) most.resolve();
	});
	await most.promise;
	const goOn = stall(toWorker.socket as Socket);
	client.end("x");
	await once(asked, "end");
	vi.advanceTimersByTime(31 * SECOND_MS);
	goOn();
	expect(await over).toBe("whole");
	expect([bytes, body.refused]).toEqual([6 * MIB + 1, undefined]);
});
