import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Connections } from "./connections.js";
import { createGatewayServer, type GatewayServer } from "./server.js";

let gateway: GatewayServer;
const clients: Socket[] = [];
let seen: string[] = [];
beforeEach(async () => {
	seen = [];
	const connections = { total: 4, perAddress: 2, trusted: ["127.0.0.9"] };
	gateway = createGatewayServer({ answerStallMs: 60_000, answerBytes: 1e9, onCut: () => undefined, connections });
	gateway.serve((request, response) => {
		seen.push(String(request.url));
		response.end("served");
	});
	await once(gateway.server.listen(0, "127.0.0.1"), "listening");
});
afterEach(async () => {
	for (const client of clients.splice(0)) client.destroy();
	gateway.server.closeAllConnections();
	await gateway.close(0);
});

async function from(localAddress: string): Promise<Socket> {
	const socket = connect({ port: (gateway.server.address() as AddressInfo).port, host: "127.0.0.1", localAddress });
	clients.push(socket);
	socket.on("error", () => undefined);
	await once(socket, "connect");
	return socket;
}

const ask = (socket: Socket, path = "/") => socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);

test("one address has its share, is told when it has it, and others are served", async () => {
	await from("127.0.0.1");
	const second = await from("127.0.0.1");
	const third = await from("127.0.0.1");
	ask(third, "/beyond");
	const refused = await text(third);
	expect(refused).toMatch(/^HTTP\/1.1 503 [\s\S]*retry-after: 1\r\n[\s\S]*"code":"unavailable"/);
	expect(refused).toContain("2 connections from 127.0.0.1 are open already (BERTH_MAX_CONNECTIONS_PER_ADDRESS)");
	ask(await from("127.0.0.2"), "/other");
	await expect.poll(() => seen).toEqual(["/other"]);
	// Another may come for one that went.
	second.destroy();
	await expect
		.poll(async () => {
			ask(await from("127.0.0.1"), "/again");
			return seen;
		})
		.toContain("/again");
	expect(seen).not.toContain("/beyond");
});

test("beyond the bound of all nobody is served, not a trusted proxy either, until those have gone that only wait", async () => {
	const [busy] = [await from("127.0.0.9"), await from("127.0.0.9"), await from("127.0.0.9")];
	const idle = await from("127.0.0.9");
	ask(idle);
	await once(idle, "data");
	expect(await text(await from("127.0.0.9"))).toContain("4 connections are open already (BERTH_MAX_CONNECTIONS)");
	await expect.poll(() => idle.closed).toBe(true);
	const next = await from("127.0.0.9");
	ask(next, "/next");
	await once(next, "data");
	expect(seen).toEqual(["/", "/next"]);
	expect(busy.closed).toBe(false);
});

test.each([
	["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true],
	["2001:db8:1:2::1", "2001:db8:1:3::1", false],
	["2001:db8::1", "2001:0db8:0:0:5::1", true],
	["fe80::1%eth0", "fe80::2", true],
	["::ffff:192.0.2.1", "192.0.2.1", true],
	["192.0.2.1", "192.0.2.2", false],
])("%s and %s are one: %s", (first, second, isOne) => {
	const connections = new Connections(createServer(), { total: 10, perAddress: 1, trusted: [] });
	const socket = (remoteAddress: string) => Object.assign(new EventEmitter(), { remoteAddress }) as unknown as Socket;
	expect(connections.began(socket(first))).toBeUndefined();
	expect(connections.began(socket(second)) !== undefined).toBe(isOne);
});
