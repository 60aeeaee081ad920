import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { isPublicAddress } from "@berth/contracts";
import { expect, test } from "vitest";
import { post } from "./post.js";
import { waitAfter } from "./waits.js";

async function posted(listener: RequestListener, timeoutMs = 5000) {
	const server = createServer(listener);
	await once(server.listen(0, "127.0.0.1"), "listening");
	const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	try {
		return await post({ url: `http://${host}/`, headers: { "x-a": "b" }, body: Buffer.from("{}"), allowed: [host], timeoutMs });
	} finally {
		server.closeAllConnections();
		server.close();
	}
}

test("an answer without an end is left behind; one that doesn't come isn't waited for", async () => {
	expect(
		await posted((_request, response) => {
			response.writeHead(200);
			const more = () => void (response.destroyed || response.write("x".repeat(10_000), more));
			more();
		}),
	).toEqual({ status: 200 });
	// Its status is an answer, whatever becomes of the rest.
	expect(
		await posted((_request, response) => {
			response.writeHead(200, { "content-length": 100 });
			response.write("abc", () => response.destroy());
		}),
	).toEqual({ status: 200 });
	expect(await posted(() => undefined, 50)).toEqual({ error: "no answer within 0.05 s" });
	expect(await posted((request) => request.socket.destroy())).toEqual({ error: "it can't be reached (ECONNRESET)" });
});

test.each([
	["HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", { status: 101 }],
	["HTTP/1.1 100 Continue\r\n\r\n", { error: "no answer within 1 s" }],
	["nonsense\r\n\r\n", { error: expect.stringContaining("it can't be reached (HPE_") }],
])("an answer %j comes to an end", async (text, expected) => {
	await using server = createTcpServer((socket) => {
		socket.on("error", () => undefined);
		socket.once("data", () => socket.write(text));
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	expect(await post({ url: `http://${host}/`, headers: {}, body: Buffer.from("{}"), allowed: [host], timeoutMs: 1000 })).toEqual(expected);
});

test("what isn't allowed any more isn't posted to, and a name's address isn't shown", async () => {
	const given = { headers: {}, body: Buffer.from("{}"), allowed: [] };
	expect(await post({ ...given, url: "http://127.0.0.1:1/" })).toMatchObject({ refused: true });
	expect(await post({ ...given, url: "https://[::ffff:127.0.0.1]/" })).toMatchObject({ refused: true });
	const unknown = await post({ ...given, url: "https://nowhere.invalid/" });
	expect(unknown).toMatchObject({ error: expect.stringMatching(/^its name can't be resolved \(E\w+\)$/) });
});

test("public is what anybody may have", () => {
	const not = ["10.1.2.3", "127.0.0.1", "169.254.169.254", "100.64.0.1", "192.168.1.1", "172.31.0.1", "0.0.0.0", "198.18.0.1", "224.0.0.1"];
	const not6 = [
		"::1",
		"::",
		"fe80::1",
		"fc00::1",
		"::ffff:8.8.8.8",
		"64:ff9b::808:808",
		"2002:a00:1::",
		"2001:db8::1",
		"fe80::1%eth0",
		"no",
	];
	expect([...not, ...not6].filter(isPublicAddress)).toEqual([]);
	expect(["8.8.8.8", "172.32.0.1", "2606:4700::1111", "100.128.0.1"].filter((one) => !isPublicAddress(one))).toEqual([]);
});

test("tries are eight, ever further apart, and as late as the receiver asks within bounds", () => {
	const waits = Array.from({ length: 7 }, (_, at) => waitAfter(at + 1) ?? 0);
	expect(waits.every((wait, at) => at === 0 || wait > (waits[at - 1] as number))).toBe(true);
	expect(waits.reduce((sum, wait) => sum + wait, 0)).toBeLessThan(27 * 3_600_000);
	expect(waitAfter(8)).toBeUndefined();
	expect(waitAfter(1, "120")).toBe(120_000);
	expect(waitAfter(1, new Date(600_000).toUTCString(), 0)).toBe(600_000);
	expect(waitAfter(1, "999999999")).toBe(15 * 3_600_000);
	expect(waitAfter(1, "soon")).toBeLessThan(6000);
});
