import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";
import { connect } from "node:tls";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { helloIn } from "./client-hello.js";
import { Beginning, firstWords } from "./first-words.js";

const wordsIn = (bytes: Buffer) => new Beginning().take(bytes);

/** What Node's own TLS sends first. */
async function helloFor(servername: string | undefined): Promise<Buffer> {
	const server = createServer();
	await once(server.listen(0, "127.0.0.1"), "listening");
	const socket = createConnection((server.address() as { port: number }).port, "127.0.0.1");
	const client = connect({ socket, ...(servername === undefined ? {} : { servername }) });
	client.on("error", () => undefined);
	const [accepted] = (await once(server, "connection")) as [Socket];
	const [bytes] = (await once(accepted, "data")) as [Buffer];
	accepted.on("error", () => undefined).destroy();
	client.destroy();
	server.close();
	return bytes;
}

/** The same message in records of so many bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
	const message = hello.subarray(5);
	const records = Array.from({ length: Math.ceil(message.length / size) }, (_, at) => {
		const part = message.subarray(at * size, (at + 1) * size);
		return Buffer.concat([Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part]);
	});
	return Buffer.concat(records);
}

test("the name in a ClientHello is read, in however many pieces and records it comes", async () => {
	const hello = await helloFor("API.example.com");
	expect(wordsIn(hello)).toEqual({ speaks: "tls", name: "api.example.com" });
	for (const size of [200, 1000]) expect(helloIn(inRecords(hello, size))).toEqual({ name: "api.example.com" });
	for (let cut = 1; cut < hello.length; cut++) expect(wordsIn(hello.subarray(0, cut)), `${cut}`).toBeUndefined();
	expect(wordsIn(await helloFor(undefined))).toEqual({ speaks: "tls", name: undefined });
});

test("one with two names is none, as another server may read the other one", async () => {
	const hello = await helloFor("api.example.com");
	const at = hello.indexOf("api.example.com") - 9;
	const extension = hello.subarray(at, at + 9 + "api.example.com".length);
	expect(extension.readUInt16BE(0)).toBe(0);
	const twice = Buffer.concat([hello.subarray(0, at), extension, hello.subarray(at)]);
	const more = extension.length;
	twice.writeUInt16BE(twice.readUInt16BE(3) + more, 3);
	twice.writeUIntBE(twice.readUIntBE(6, 3) + more, 6, 3);
	const session = 5 + 4 + 34;
	const ciphers = session + 1 + (hello[session] as number);
	const extensions = ciphers + 2 + hello.readUInt16BE(ciphers) + 2;
	twice.writeUInt16BE(twice.readUInt16BE(extensions) + more, extensions);
	expect(wordsIn(twice)).toEqual({ speaks: "other" });
});

test("HTTP is told by the line of its first request, and what is neither isn't waited for", () => {
	for (const text of ["GET / HTTP/1.1\r\n", "M-SEARCH * HTTP/1.1\n", "\r\n\r\nPOST http://a/ HTTP/1.0\r\nhost: a", "get\t/ http/1.1\n"])
		expect(wordsIn(Buffer.from(text))).toEqual({ speaks: "http" });
	for (const text of ["G", "GET / HTT", "GET / HTTP/1.1\r", "\r\n", "GET http://a.example/"])
		expect(wordsIn(Buffer.from(text))).toBeUndefined();
	for (const text of [
		"SSH-2.0-x\r\n",
		"*1\r\n$4\r\nPING",
		"\0\0\0\x08\x04\xd2\x16\x2f",
		"A".repeat(40_000),
		"EHLO mail.example",
		"EHLO host.example\r\n",
		"SELECT 1",
		"AMQP\0\0\x09\x01",
	])
		expect(wordsIn(Buffer.from(text)), text).toEqual({ speaks: "other" });
});

test("whatever bytes a function begins with, they are read without an error", async () => {
	const hello = await helloFor("api.example.com");
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(hello.length - 1), (bytes, at) => {
			wordsIn(Buffer.from([22, 3, 1, ...bytes]));
			wordsIn(Buffer.concat([hello.subarray(0, at), bytes, hello.subarray(at)]));
		}),
		{ numRuns: 2000 },
	);
});

test("what comes byte by byte is told as what comes at once, and each byte is looked at once", async () => {
	const hello = await helloFor("api.example.com");
	const told = (bytes: Buffer) => {
		const beginning = new Beginning();
		for (const byte of bytes) {
			const words = beginning.take(Buffer.from([byte]));
			if (words !== undefined) return words;
		}
		return undefined;
	};
	expect(told(hello)).toEqual({ speaks: "tls", name: "api.example.com" });
	expect(told(inRecords(hello, 200))).toEqual({ speaks: "tls", name: "api.example.com" });
	const path = "a".repeat(20_000);
	expect(told(Buffer.from(`\r\n\r\nGET /${path} HTTP/1.1\r\n`))).toEqual({ speaks: "http" });
	expect(told(Buffer.from(`GET /${path}\0`))).toEqual({ speaks: "other" });
	expect(told(Buffer.from("GET /a\ra"))).toEqual({ speaks: "other" });
	expect(told(Buffer.from(`GET /${path}\ra`))).toEqual({ speaks: "other" });
	expect(told(Buffer.from("\n".repeat(40_000)))).toEqual({ speaks: "other" });
});

test("a ClientHello in more records than a client sends, or longer than a server takes, isn't waited for", async () => {
	const hello = await helloFor("api.example.com");
	expect(helloIn(inRecords(hello, 1))).toBe("malformed");
	const records = (count: number) => inRecords(Buffer.from([0, 0, 0, 0, 0, 1, 0, 0x10, 0, ...Array(count - 4).fill(0)]), 1);
	expect(helloIn(records(15))).toEqual({ needs: 15 * 6 + 5 });
	expect(helloIn(records(16))).toBe("malformed");
	expect(helloIn(Buffer.from([22, 3, 1, 0, 4, 1, 0, 0x80, 1]))).toBe("malformed");
	expect(helloIn(Buffer.from([22, 3, 1, 0, 4, 1, 0, 0x80, 0]))).toEqual({ needs: 14 });
	expect(helloIn(Buffer.from([22, 3, 1, 0x40, 1]))).toBe("malformed");
});

test("who has begun, or has to, is waited for ten seconds; who may listen first isn't", async () => {
	const server = createServer();
	await once(server.listen(0, "127.0.0.1"), "listening");
	const opened = async (say: string) => {
		const client = createConnection((server.address() as { port: number }).port, "127.0.0.1");
		const [accepted] = (await once(server, "connection")) as [Socket];
		client.write(say);
		return { client, accepted };
	};
	const [silent, slow, listening] = [await opened(""), await opened("GET /"), await opened("")];
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
	try {
		const all = [firstWords(silent.accepted, true), firstWords(slow.accepted, false), firstWords(listening.accepted, false)] as const;
		await once(slow.accepted, "data");
		await vi.advanceTimersByTimeAsync(9_999);
		expect(vi.getTimerCount()).toBe(2);
		await vi.advanceTimersByTimeAsync(1);
		expect(await Promise.all([all[0], all[1]])).toEqual([{ speaks: "other" }, { speaks: "other" }]);
		expect(slow.accepted.read()?.toString()).toBe("GET /");
		listening.client.write("\0");
		expect(await all[2]).toEqual({ speaks: "other" });
		expect(vi.getTimerCount()).toBe(0);
	} finally {
		vi.useRealTimers();
		for (const { client, accepted } of [silent, slow, listening]) [client, accepted].forEach((one) => void one.destroy());
		server.close();
	}
});
