import { once } from "node:events";
import { Agent, type IncomingMessage, request, type ServerResponse } from "node:http";
import net, { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createGatewayServer, type GatewayServer } from "./server.js";
import { rawAnswer } from "./testing/raw-answer.js";

/** Longer than any test may take: that a stop waits for it would show. */
const GRACE_MS = 60_000;

let gateway: GatewayServer;
let agent: Agent;
let listeningOn: number;
beforeEach(async () => {
	agent = new Agent({ keepAlive: true });
	gateway = createGatewayServer({ answerStallMs: GRACE_MS, answerBytes: Number.MAX_SAFE_INTEGER, onCut: () => undefined });
	await once(gateway.server.listen(0, "127.0.0.1"), "listening");
	listeningOn = (gateway.server.address() as AddressInfo).port;
});
afterEach(async () => {
	agent.destroy();
	gateway.server.closeAllConnections();
	await gateway.close(0);
});

const port = () => listeningOn;

/** A client that keeps its connections asks. */
async function ask(): Promise<IncomingMessage> {
	const outgoing = request({ agent, port: port(), host: "127.0.0.1" });
	outgoing.end();
	const [response] = (await once(outgoing, "response")) as [IncomingMessage];
	return response;
}

/** The next request that arrives, not answered yet. */
function arrival(): Promise<ServerResponse> {
	return new Promise((resolve) => gateway.serve((_request, response) => resolve(response)));
}

describe("a gateway that stops", () => {
	test("gives the answer that is in flight, says that the connection ends with it, and is closed then", async () => {
		const arrived = arrival();
		const asked = ask();
		const response = await arrived;
		const closed = gateway.close(GRACE_MS);
		response.end("late");
		const answer = await asked;
		expect(answer.headers.connection).toBe("close");
		expect(await text(answer)).toBe("late");
		await closed;
	});

	test("ends an answer that had begun, and its connection, though the client was promised to keep it", async () => {
		const arrived = arrival();
		const asked = ask();
		const response = await arrived;
		response.write("half, ");
		const answer = await asked;
		expect(answer.headers.connection).toBe("keep-alive");
		const closed = gateway.close(GRACE_MS);
		response.end("and half");
		expect(await text(answer)).toBe("half, and half");
		await closed;
	});

	test("closes connections that wait for their next request, at once", async () => {
		gateway.serve((_request, response) => response.end("x"));
		await text(await ask());
		await gateway.close(GRACE_MS);
	});

	test("answers a request that was on its way, and takes no other", async () => {
		gateway.serve((_request, response) => response.end("x"));
		const socket = connect(port(), "127.0.0.1");
		socket.write("GET / HTTP/1.1\r\n");
		const [accepted] = (await once(gateway.server, "connection")) as [Socket];
		await expect.poll(() => accepted.bytesRead, { interval: 1 }).toBeGreaterThan(0);
		const closed = gateway.close(GRACE_MS);
		socket.write("host: x\r\n\r\n");
		expect(await text(socket)).toContain("connection: close");
		await closed;
		expect(gateway.server.listening).toBe(false);
	});

	test("tells who takes longer than the grace that it won't be answered, before it closes the connection", async () => {
		const arrived = arrival();
		const asked = ask();
		await arrived;
		const closed = gateway.close(10);
		const answer = await asked;
		expect([answer.statusCode, answer.headers["retry-after"], answer.headers.connection]).toEqual([503, "1", "close"]);
		expect(JSON.parse(await text(answer))).toMatchObject({ code: "unavailable", retryable: true });
		await closed;
	});

	test("lets those say it first who know better why", async () => {
		const arrived = arrival();
		const asked = ask();
		const response = await arrived;
		const closed = gateway.close(10, () => response.writeHead(503).end("it is cancelled"));
		expect(await text(await asked)).toBe("it is cancelled");
		await closed;
	});

	test("cuts off an answer that doesn't end within the grace", async () => {
		const arrived = arrival();
		const asked = ask();
		(await arrived).write("half");
		const answer = await asked;
		const closed = gateway.close(10);
		await expect(text(answer)).rejects.toThrow("aborted");
		await closed;
	});
});

test.each([
	["without a Host", "GET / HTTP/1.1\r\nconnection: close\r\n\r\n", 400, "invalid_request", "Host"],
	["with an expectation that can't be met", "GET / HTTP/1.1\r\nhost: x\r\nexpect: bananas\r\n\r\n", 400, "invalid_request", "bananas"],
	["for a tunnel", "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n", 405, "method_not_allowed", "proxy"],
	["that isn't HTTP", "nonsense\r\n\r\n", 400, "invalid_request", "RFC 9112"],
])("a request %s is answered with a problem", async (_, bytes, status, code, words) => {
	gateway.serve((_request, response) => response.end("served"));
	const answer = await rawAnswer(`http://127.0.0.1:${port()}`, bytes);
	expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*application/problem\\+json[\\s\\S]*"code":"${code}"`));
	expect(answer).toContain(words);
});

describe("a gateway that is about to stop", () => {
	test("serves on, whoever comes, and says with each answer that the connection ends, also with one that it gives already", async () => {
		const responses: ServerResponse[] = [];
		gateway.serve((request, response) => (request.url === "/wait" ? responses.push(response) : response.end("here")));
		const waiting = request({ agent, port: port(), host: "127.0.0.1", path: "/wait" });
		waiting.end();
		await once(gateway.server, "request");
		gateway.drain();
		for (const _ of [1, 2]) {
			const answer = await ask();
			expect([await text(answer), answer.headers.connection]).toEqual(["here", "close"]);
		}
		responses[0]?.end("late");
		const [answered] = (await once(waiting, "response")) as [IncomingMessage];
		expect([await text(answered), answered.headers.connection]).toEqual(["late", "close"]);
	});

	test("stops then as any other", async () => {
		const arrived = arrival();
		const asked = ask();
		const response = await arrived;
		gateway.drain();
		const closed = gateway.close(GRACE_MS);
		await expect(once(connect(port(), "127.0.0.1"), "connect")).rejects.toThrow("ECONNREFUSED");
		response.end("late");
		expect(await text(await asked)).toBe("late");
		await closed;
	});
});

describe("a gateway in whose place another one listens", () => {
	test("answers on a connection that is kept once more, says that it ends with that, and is closed when none is left", async () => {
		gateway.serve((_request, response) => response.end("here"));
		expect(await text(await ask())).toBe("here");
		const retired = gateway.retire(GRACE_MS);
		await expect(once(connect(port(), "127.0.0.1"), "connect")).rejects.toThrow("ECONNREFUSED");
		const last = await ask();
		expect([await text(last), last.headers.connection]).toEqual(["here", "close"]);
		await retired;
	});

	test("doesn't end a connection that is kept with somebody else's answer", async () => {
		const responses: ServerResponse[] = [];
		gateway.serve((request, response) => (request.url === "/wait" ? responses.push(response) : response.end("here")));
		expect(await text(await ask())).toBe("here");
		const other = new Agent({ keepAlive: true });
		const waiting = request({ agent: other, port: port(), host: "127.0.0.1", path: "/wait" });
		waiting.end();
		await once(gateway.server, "request");
		const retired = gateway.retire(GRACE_MS);
		responses[0]?.end("late");
		const [answered] = (await once(waiting, "response")) as [IncomingMessage];
		expect(await text(answered)).toBe("late");
		expect(await text(await ask())).toBe("here");
		await retired;
	});
});

test("a gateway that is given several descriptors serves what comes over each, and is closed when nothing is left on any", async () => {
	const own = createGatewayServer({ answerStallMs: GRACE_MS, answerBytes: Number.MAX_SAFE_INTEGER, onCut: () => undefined });
	own.serve((_request, response) => response.end("served"));
	// Each of a socket of its own, so that it is known over which one somebody comes.
	const sockets = [1, 2, 3].map(() => bound());
	await own.listen(sockets.map(({ fd }) => fd));
	const ports = sockets.map(({ port }) => port);
	for (const each of ports) expect(await (await fetch(`http://127.0.0.1:${each}/`)).text()).toBe("served");
	await own.close(GRACE_MS);
	for (const each of ports) await expect(fetch(`http://127.0.0.1:${each}/`)).rejects.toThrow();
});

/** A socket as a supervisor opens it. Whoever listens on its descriptor closes it. */
function bound(): { readonly fd: number; readonly port: number } {
	const { _createServerHandle: bind } = net as unknown as {
		_createServerHandle(
			address: string,
			port: number,
			addressType: 4,
			fd: number,
		): { readonly fd: number; getsockname(into: object): void };
	};
	const handle = bind("127.0.0.1", 0, 4, -1);
	const name = { port: 0 };
	handle.getsockname(name);
	return { fd: handle.fd, port: name.port };
}
