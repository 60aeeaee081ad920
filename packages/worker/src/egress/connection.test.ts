import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { EGRESS_LIMITS } from "@berth/contracts";
import type { Egressing, Injection } from "@berth/sandbox";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Connection } from "./connection.js";
import { Outlet } from "./outlet.js";
import { PlainHttp } from "./plain-http.js";

const LOOPBACK = ["127.0.0.1"];
const HOST = "service.example";

let outside: Server;
let proxy: Server;
let http: PlainHttp;
/** What is said of a sandbox. */
let said: string[];
/** What the server outside answers each time it is told something. */
let answer: (socket: Socket, heard: string) => void;
const sockets = new Set<Socket>();

beforeEach(async () => {
	said = [];
	http = new PlainHttp();
	outside = createServer((socket) => {
		sockets.add(socket);
		socket.on("error", () => undefined).on("data", (bytes) => answer(socket, bytes.toString("latin1")));
	});
	proxy = createServer({ allowHalfOpen: true });
	await Promise.all([outside, proxy].map((server) => once(server.listen(0, "127.0.0.1"), "listening")));
});
afterEach(() => {
	http.close();
	for (const socket of sockets) socket.destroy();
	sockets.clear();
	for (const server of [outside, proxy]) server.close();
});

const portOf = (server: Server) => (server.address() as { port: number }).port;

/** A connection of a sandbox's, as the proxy has it. */
async function opened(): Promise<{ client: Socket; connection: Connection; outlet: Outlet }> {
	const client = createConnection(portOf(proxy), "127.0.0.1").on("error", () => undefined);
	const [accepted] = (await once(proxy, "connection")) as [Socket];
	accepted.on("error", () => undefined);
	sockets.add(client).add(accepted);
	const from: Egressing = {
		sandbox: "sbx_a",
		project: "default",
		invocation: "inv_a",
		allow: [HOST],
		injections: [],
		gone: new Promise(() => undefined),
		refused: (target, why) => said.push(`refused ${target}: ${why}`),
		failed: (target, why) => said.push(`failed ${target}: ${why}`),
	};
	const outlet = new Outlet(async () => LOOPBACK);
	outlet.keep(accepted);
	return { client, outlet, connection: new Connection(accepted, from, outlet, HOST, portOf(outside)) };
}

function serveHttp(connection: Connection, injections?: readonly Injection[]): void {
	http.serve(connection.client, {
		host: HOST,
		port: connection.port,
		...(injections && { injections }),
		connect: () => connection.openNext(LOOPBACK),
		refuse: (why) => connection.refuse(why),
		fail: (error) => connection.fail(error),
	});
}

/** Also when it is reset. */
const closed = (socket: Socket) => new Promise((resolve) => socket.once("close", resolve));

const request = (more = "") => `GET / HTTP/1.1\r\nhost: ${HOST}:${portOf(outside)}\r\n${more}\r\n`;

test("a server that answers what can't be passed on ends the connection of who asked it, and nothing else", async () => {
	for (const status of ["099 x", "000 x", "600 x", "999 x"]) {
		answer = (socket) => socket.end(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`);
		const { client, connection } = await opened();
		serveHttp(connection);
		client.write(request());
		await closed(client);
		expect(said.pop(), status).toMatch(/^failed service\.example:\d+: its server answered with the status \d+$/);
	}
});

test("a server's own words for a status aren't passed on, whatever is in them", async () => {
	for (const words of ["\x01", "a\x7f", "fine"]) {
		answer = (socket) => socket.end(`HTTP/1.1 200 ${words}\r\ncontent-length: 2\r\n\r\nok`);
		const { client, connection } = await opened();
		serveHttp(connection);
		client.write(request("connection: close\r\n"));
		let heard = "";
		for await (const bytes of client) heard += bytes;
		expect(heard).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*ok$/);
	}
	expect(said).toEqual([]);
});

test("a request with a second line for its host doesn't get through; the line of one that does is ours", async () => {
	const heard: string[] = [];
	answer = (socket, bytes) => {
		heard.push(bytes);
		socket.write("HTTP/1.1 204 x\r\n\r\n");
	};
	const { client, connection } = await opened();
	serveHttp(connection);
	client.write(request());
	await once(client, "data");
	client.write(request("Host: evil.example\r\n"));
	await closed(client);
	expect(heard.map((one) => one.match(/^host: .*$/gim))).toEqual([[`Host: ${HOST}:${portOf(outside)}`]]);
	expect(said).toEqual([expect.stringMatching("another host")]);
});

test("a request gets the headers of its host's secrets, in the place of its own ones, and TRACE isn't sent there", async () => {
	const heard: string[] = [];
	answer = (socket, bytes) => {
		heard.push(bytes);
		socket.write(ANSWER);
	};
	const { client, connection } = await opened();
	serveHttp(connection, [{ host: HOST, port: 80, header: "x-api-key", value: "sk_live" }]);
	client.write(request("X-Api-Key: mine\r\nconnection: x-api-key\r\n"));
	await once(client, "data");
	expect(heard.map((one) => one.match(/^x-api-key: .*$/gim))).toEqual([["x-api-key: sk_live"]]);
	client.write(request().replace("GET", "TRACE"));
	await closed(client);
	expect(said).toEqual([expect.stringMatching("TRACE")]);
});

test("a request that is hidden behind another, a tunnel, and one for another place get nothing of a secret, nor out", async () => {
	const injected = [{ host: HOST, port: 80, header: "x-api-key", value: "sk_live" }];
	const evil = "GET /evil HTTP/1.1\r\nhost: evil.example\r\n\r\n";
	const heard: string[] = [];
	answer = (socket, bytes) => {
		heard.push(bytes);
		socket.write(ANSWER);
	};
	for (const words of [
		request() + evil,
		`${request(`content-length: ${evil.length}\r\ntransfer-encoding: chunked\r\n`).replace("GET", "POST")}0\r\n\r\n${evil}`,
		request("content-length: 0\r\ncontent-length: 9\r\n").replace("GET", "POST") + evil,
		request(`transfer-encoding: identity, chunked\r\nx: y\n\n${evil}`),
		"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n",
		request().replace("GET /", "CONNECT evil.example:443"),
		request().replace("GET /", "GET http://evil.example/evil"),
	]) {
		const { client, connection } = await opened();
		serveHttp(connection, injected);
		client.on("data", () => undefined).write(words);
		await closed(client);
	}
	// The first of two is one that may go; of what is read in two ways, and of tunnels, nothing is.
	expect(heard.length).toBeLessThanOrEqual(1);
	expect(heard.join()).not.toContain("evil");
	expect(said.filter((one) => one.includes("sk_live"))).toEqual([]);
});

test("a request with thousands of headers gets through with all of them: what is in its body stays in it", async () => {
	let heard = "";
	answer = (socket, bytes) => {
		heard += bytes;
		if (heard.endsWith("hidden")) socket.write(ANSWER);
	};
	const { client, connection } = await opened();
	serveHttp(connection, [{ host: HOST, port: 80, header: "x-api-key", value: "sk_live" }]);
	const hidden = `POST /hidden HTTP/1.1\r\n${"a: b\r\n".repeat(3)}\r\nhidden`;
	client.write(`${request(`${"a: b\r\n".repeat(2_500)}content-length: ${hidden.length}\r\n`)}${hidden}`);
	await once(client, "data");
	expect(heard).toContain(`\r\ncontent-length: ${hidden.length}\r\n`);
	expect(heard.slice(heard.indexOf("\r\n\r\n"))).toBe(`\r\n\r\n${hidden}`);
	expect(heard.match(/^a: b$/gm)).toHaveLength(2_503);
});

test("a client that is kept keeps nothing of the connections that were opened for it", async () => {
	answer = (socket) => socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
	const { client, connection } = await opened();
	serveHttp(connection);
	const listeners: number[] = [];
	for (let at = 0; at < 20; at++) {
		client.write(request());
		await once(client, "data");
		listeners.push(connection.client.listenerCount("close"));
	}
	expect(listeners.at(-1)).toBe(listeners[0]);
	expect(connection.upstreams).toBeLessThanOrEqual(1);
});

test("what it was connected to ends with it", async () => {
	answer = () => undefined;
	const { client, connection } = await opened();
	const upstream = connection.open(LOOPBACK);
	connection.join(upstream, true);
	client.resetAndDestroy();
	await once(upstream, "close");
});

const ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const MUCH = `x-much: ${"a".repeat(20_000)}\r\n`;

test.each([0, 1])("HTTP counts whole, its lines and headers, too, of each request (%i bytes too many)", async (more) => {
	answer = (socket) => socket.write(ANSWER);
	const { client, connection, outlet } = await opened();
	const bytes = 2 * (request(MUCH).length + ANSWER.length);
	outlet.spend("inv_a", EGRESS_LIMITS.bytes - bytes + more);
	serveHttp(connection);
	client.write(request(MUCH));
	await once(client, "data");
	client.write(request(MUCH));
	if (more === 0) await once(client, "data");
	else await closed(client);
	expect(outlet.isSpent("inv_a")).toBe(more > 0);
	expect(said).toEqual(more > 0 ? [expect.stringMatching("1024 MiB")] : []);
	expect(outlet.spend("inv_a", 1)).toBe(false);
});

test("of other protocols, too, everything counts, what a server says first included", async () => {
	answer = () => undefined;
	outside.on("connection", (socket) => socket.write("hello"));
	const { client, connection, outlet } = await opened();
	outlet.spend("inv_a", EGRESS_LIMITS.bytes - "hello".length);
	const upstream = connection.open(LOOPBACK);
	upstream.pipe(connection.client);
	await once(client, "data");
	expect(outlet.isSpent("inv_a")).toBe(false);
	connection.join(upstream, false);
	client.write("x");
	await closed(client);
	expect(said).toEqual([expect.stringMatching("1024 MiB")]);
});

test("what would be too much doesn't go out any more", async () => {
	let heard = "";
	answer = (_, bytes) => {
		heard += bytes;
	};
	const { client, connection, outlet } = await opened();
	connection.join(connection.open(LOOPBACK), true);
	const [server] = (await once(outside, "connection")) as [Socket];
	outlet.spend("inv_a", EGRESS_LIMITS.bytes);
	client.write("secret");
	await closed(server);
	expect(heard).toBe("");
});

test("connections that a server makes necessary anew for each request count like those that a sandbox opens", async () => {
	answer = (socket) => socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
	const { client, connection, outlet } = await opened();
	serveHttp(connection);
	client.write(request());
	await once(client, "data");
	while (outlet.opens(performance.now() + 1_000));
	client.write(request());
	await closed(client);
	expect(said).toEqual([expect.stringMatching("connections a second")]);
});

test("requests that are sent before the ones before are answered are taken up to a number", async () => {
	answer = () => undefined;
	const { client, connection } = await opened();
	serveHttp(connection);
	client.write(request().repeat(64));
	await once(outside, "connection");
	expect(said).toEqual([]);
	client.write(request());
	await closed(client);
	expect(said).toEqual([expect.stringMatching("64 requests on this connection")]);
});

test("requests one after the other are no such ones", async () => {
	answer = (socket) => socket.write(ANSWER);
	const { client, connection } = await opened();
	serveHttp(connection);
	for (let at = 0; at < 70; at++) {
		client.write(request());
		await once(client, "data");
	}
	expect(said).toEqual([]);
});
