import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createGatewayServer, type GatewayServer } from "./server.js";
import { rawAnswer } from "./testing/raw-answer.js";

/**
 * What proxies and servers are known to read differently. Who stands behind a proxy that reads it otherwise must either refuse it and
 * close the connection, or read it as RFC 9112 has it: never may what is a body for one of them be a request for the other.
 */
let gateway: GatewayServer;
let url: string;
/** What the application was asked: method, target and body. */
let seen: string[] = [];

beforeAll(async () => {
	gateway = createGatewayServer({ answerStallMs: 60_000, answerBytes: Number.MAX_SAFE_INTEGER, onCut: () => undefined });
	await once(gateway.server.listen(0, "127.0.0.1"), "listening");
	url = `http://127.0.0.1:${(gateway.server.address() as AddressInfo).port}`;
});
beforeEach(() => {
	const asked: string[] = [];
	seen = asked;
	gateway.serve(async (request, response) => {
		const at = asked.push(`${request.method} ${request.url}`) - 1;
		// Refused by its head, as without a key: the body stays unread.
		if (request.url === "/unread") {
			response.writeHead(401).end();
			return;
		}
		if (request.headers.expect !== undefined) response.writeContinue();
		const body = await text(request).catch(() => "broken off");
		if (body !== "") asked[at] += ` ${body}`;
		response.end();
	});
});
afterAll(async () => {
	gateway.server.closeAllConnections();
	await gateway.close(0);
});

/** What a body would be if it were taken for the next request. */
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
const head = (...lines: readonly string[]) => `${["POST / HTTP/1.1", "host: x", ...lines].join("\r\n")}\r\n\r\n`;
const chunked = (...lines: readonly string[]) => head("transfer-encoding: chunked", ...lines);
const statuses = (answer: string) => [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));

describe("refused once, and the connection closed", () => {
	test.each<[string, string]>([
		["a length and chunks (CL.TE)", `${head("content-length: 6", "transfer-encoding: chunked")}0\r\n\r\n${SMUGGLED}`],
		["chunks and a length (TE.CL)", `${head("transfer-encoding: chunked", "content-length: 4")}5c\r\n${SMUGGLED}\r\n0\r\n\r\n`],
		[
			"chunked, by another name first",
			`${head("transfer-encoding: x", "transfer-encoding: chunked", "content-length: 5")}0\r\n\r\n${SMUGGLED}`,
		],
		["a coding that isn't chunked", `${head("transfer-encoding: xchunked")}0\r\n\r\n${SMUGGLED}`],
		["chunked, and something after it", `${head("transfer-encoding: chunked, identity")}0\r\n\r\n${SMUGGLED}`],
		["chunked in quotes", `${head('transfer-encoding: "chunked"')}0\r\n\r\n${SMUGGLED}`],
		["chunked behind a vertical tab", `${head("transfer-encoding: \u000bchunked")}0\r\n\r\n${SMUGGLED}`],
		["a coding with a space before the colon", `${head("transfer-encoding : chunked", "content-length: 5")}0\r\n\r\n${SMUGGLED}`],
		["a coding with a tab before the colon", `${head("transfer-encoding\t: chunked", "content-length: 5")}0\r\n\r\n${SMUGGLED}`],
		["a folded coding", `${head("transfer-encoding:\r\n chunked", "content-length: 5")}0\r\n\r\n${SMUGGLED}`],
		["a folded header", head("x: a\r\n b")],
		["a first header that is folded", "GET / HTTP/1.1\r\n host: x\r\n\r\n"],
		["two lengths", `${head("content-length: 0", "content-length: 38")}${SMUGGLED}`],
		["the same length twice", `${head("content-length: 0", "content-length: 0")}${SMUGGLED}`],
		["two lengths in one", `${head("content-length: 0, 0")}${SMUGGLED}`],
		["a length with a plus", `${head("content-length: +0")}${SMUGGLED}`],
		["a length with a minus", `${head("content-length: -1")}${SMUGGLED}`],
		["a hexadecimal length", `${head("content-length: 0x0")}${SMUGGLED}`],
		["a length with a space in it", `${head("content-length: 0 0")}${SMUGGLED}`],
		["a length that is empty", `${head("content-length: ")}${SMUGGLED}`],
		["a length beyond all numbers", `${head(`content-length: ${"9".repeat(30)}`)}${SMUGGLED}`],
		["a length with a space before the colon", `${head("content-length : 38")}${SMUGGLED}`],
		["lines that end with a line feed alone", `POST / HTTP/1.1\nhost: x\ncontent-length: 0\n\n${SMUGGLED}`],
		["one line that ends so", `POST / HTTP/1.1\r\nhost: x\ncontent-length: 0\r\n\r\n${SMUGGLED}`],
		["a carriage return alone in a header", `${head("x: a\rcontent-length: 38")}${SMUGGLED}`],
		["a carriage return alone between lines", `POST / HTTP/1.1\rhost: x\r\n\r\n${SMUGGLED}`],
		["a NUL in a value", `${head("x: a\0b")}${SMUGGLED}`],
		["a NUL in a name", `${head("x\0: a")}${SMUGGLED}`],
		["a header without a name", `${head(": a")}${SMUGGLED}`],
		["a header without a colon", `${head("nonsense")}${SMUGGLED}`],
		["a NUL in the target", `GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n${SMUGGLED}`],
		["a space in the target", `GET / /smuggled HTTP/1.1\r\nhost: x\r\n\r\n${SMUGGLED}`],
		["two hosts", `GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n${SMUGGLED}`],
		["the same host twice", `GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n${SMUGGLED}`],
		["two logins", `${head("authorization: Bearer a", "authorization: Bearer b")}${SMUGGLED}`],
		["no host", `GET / HTTP/1.1\r\n\r\n${SMUGGLED}`],
		["a method that isn't one", `SMUGGLE / HTTP/1.1\r\nhost: x\r\n\r\n${SMUGGLED}`],
		["a method in lower case", `get / HTTP/1.1\r\nhost: x\r\n\r\n${SMUGGLED}`],
		["another version", `GET / HTTP/3.7\r\nhost: x\r\n\r\n${SMUGGLED}`],
		["the preface of HTTP/2", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${SMUGGLED}`],
		["a request of HTTP/0.9", `GET /\r\n\r\n${SMUGGLED}`],
		["an HTTP/1.0 request with chunks", `POST / HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
	])("%s", async (_, bytes) => {
		const answer = await rawAnswer(url, bytes);
		expect(statuses(answer)).toEqual([400]);
		expect(answer).toMatch(/connection: close\r\n[\s\S]*"code":"invalid_request"/);
		expect(seen).toEqual([]);
	});

	test.each<[string, string]>([
		["a chunk's size that is too large for any number", "fffffffffffffffff\r\nx\r\n0\r\n\r\n"],
		["a negative chunk's size", "-1\r\nx\r\n0\r\n\r\n"],
		["a chunk's size with 0x", "0x1\r\nx\r\n0\r\n\r\n"],
		["a chunk's size with a space before it", " 1\r\nx\r\n0\r\n\r\n"],
		["a chunk's size that ends with a line feed alone", "1\nx\r\n0\r\n\r\n"],
		["a chunk that ends with a line feed alone", "1\r\nx\n0\r\n\r\n"],
		["a chunk that is longer than it says", `1\r\nxx\r\n0\r\n\r\n`],
		["a chunk without a size", "\r\nx\r\n0\r\n\r\n"],
		["an extension with a line feed", "1;a\nb\r\nx\r\n0\r\n\r\n"],
		["an extension with a carriage return", "1;a\rb\r\nx\r\n0\r\n\r\n"],
		["a trailer that is folded", "1\r\nx\r\n0\r\na: b\r\n c\r\n\r\n"],
		["a trailer with a NUL", "1\r\nx\r\n0\r\na: \0\r\n\r\n"],
		["extensions of 20 KiB", `1;${"a".repeat(20_000)}\r\nx\r\n0\r\n\r\n`],
	])("%s", async (_, body) => {
		const answer = await rawAnswer(url, `${chunked()}${body}${SMUGGLED}`);
		expect(statuses(answer)).toEqual([expect.toSatisfy((status) => status === 400 || status === 413)]);
		expect(answer).toContain("connection: close");
		await expect.poll(() => seen).toEqual(["POST / broken off"]);
	});
});

describe("read as it is written", () => {
	const LAST = "GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

	test.each<[string, string, readonly string[]]>([
		["a request in a body that has a length", `${head(`content-length: ${SMUGGLED.length}`)}${SMUGGLED}`, [`POST / ${SMUGGLED}`]],
		["one in a chunk", `${chunked()}${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`, [`POST / ${SMUGGLED}`]],
		[
			"one in a body that stays unread",
			`POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
			["POST /unread"],
		],
		["one in a GET's body", `GET / HTTP/1.1\r\nhost: x\r\ncontent-length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`, [`GET / ${SMUGGLED}`]],
		["one in a HEAD's body", `HEAD / HTTP/1.1\r\nhost: x\r\ncontent-length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`, [`HEAD / ${SMUGGLED}`]],
		[
			"chunks in capitals, with an extension and a trailer",
			`${head("Transfer-Encoding: CHUNKED")}2;x=1\r\nab\r\n0\r\nhost: y\r\n\r\n`,
			["POST / ab"],
		],
		["a length with zeros before it", `${head("content-length: 0002")}ab`, ["POST / ab"]],
		["another's URL for a target", "GET http://elsewhere.example/a HTTP/1.1\r\nhost: x\r\n\r\n", ["GET http://elsewhere.example/a"]],
	])("%s", async (_, bytes, asked) => {
		const answer = await rawAnswer(url, bytes + LAST);
		expect(seen).toEqual([...asked, "GET /last"]);
		expect(statuses(answer)).toHaveLength(asked.length + 1);
	});

	test.each([
		["another protocol", "connection: upgrade\r\nupgrade: websocket\r\n\r\n", ""],
		["HTTP/2", "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n", ""],
		["HTTP/2, with a body", "upgrade: h2c\r\ncontent-length: 2\r\n\r\nab", " ab"],
	])("a request that would rather have %s is served as what it is, and is its connection's last", async (_, rest, body) => {
		const answer = await rawAnswer(url, `POST / HTTP/1.1\r\nhost: x\r\n${rest}${SMUGGLED}`);
		expect([statuses(answer), seen]).toEqual([[200], [`POST /${body}`]]);
		expect(answer).toContain("connection: close");
	});

	test("what comes after the last request of a connection is nobody's", async () => {
		await rawAnswer(url, `${LAST}${SMUGGLED}`);
		expect(seen).toEqual(["GET /last"]);
	});

	test("a request that waits for 100-continue has its own body, and the next one is its own", async () => {
		const answer = await rawAnswer(url, `${head("expect: 100-continue", `content-length: ${SMUGGLED.length}`)}${SMUGGLED}${LAST}`);
		expect(seen).toEqual([`POST / ${SMUGGLED}`, "GET /last"]);
		expect(statuses(answer)).toEqual([100, 200, 200]);
	});
});
