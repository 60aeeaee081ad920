import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { FetchReply, ReadReply } from "@berth/contracts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { questionOf, RegistryFetches } from "./registry-fetches.js";

let server: Server;
let asked: string[];
beforeEach(async () => {
	asked = [];
	server = createServer((request, response) => {
		asked.push(`${request.method} ${request.url}`);
		if (request.url?.endsWith("/away")) response.writeHead(302, { location: "http://169.254.169.254/" }).end();
		else if (request.url?.endsWith("/breaks")) response.writeHead(200, { "content-length": "100" }).write("half", () => response.destroy());
		else response.end("x".repeat(3_000_000));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
	server.closeAllConnections();
	await new Promise((resolve) => server.close(resolve));
});

const host = () => `127.0.0.1:${(server.address() as AddressInfo).port}`;
const at = (url: string, logins: ReadonlyMap<string, () => string> = new Map()) =>
	new RegistryFetches({ language: "node", registries: [{ url, scopes: [] }], logins, redirects: [] }, 30_000);
const registry = (path = "/npm/") => at(`http://${host()}${path}`);

async function bytesOf(fetches: RegistryFetches, head: FetchReply): Promise<number> {
	let bytes = 0;
	for (;;) {
		const { head: reply, body } = await fetches.read(head.handle as number);
		expect(body.byteLength).toBeLessThanOrEqual(1024 * 1024);
		bytes += body.byteLength;
		if ((reply as ReadReply).last) return bytes;
	}
}

test("what the registry has comes in pieces", async () => {
	using fetches = registry();
	const { head } = await fetches.fetch(host(), "/npm/@scope%2fname");
	expect(head).toMatchObject({ status: 200 });
	expect(await bytesOf(fetches, head as FetchReply)).toBe(3_000_000);
	expect(asked).toEqual(["GET /npm/@scope%2fname"]);
});

test("a login that can't be opened is said by what needs it, and by nothing else", async () => {
	const sealed = () => {
		throw new Error("sealed with another key");
	};
	using elsewhere = at(`http://${host()}/npm/`, new Map([["https://other.example.com", sealed]]));
	expect((await elsewhere.fetch(host(), "/npm/ms")).head).toMatchObject({ status: 200 });
	using here = at(`http://${host()}/npm/`, new Map([[`http://${host()}`, sealed]]));
	expect((await here.fetch(host(), "/npm/ms")).head).toEqual({ status: 502, reason: "sealed with another key" });
});

test.each([
	"/other/ms",
	"/npm/../secret",
	"/npm/%2e%2e/secret",
	"/npm/..%2fsecret",
	"//evil/npm/ms",
	"/npm/ms?x=1",
	"/npm/ms#x",
	"http://evil/",
	"/npm/\\evil",
	"@evil/npm/",
	"/npm/a b",
])("%s isn't asked for", async (path) => {
	using fetches = registry();
	expect((await fetches.fetch(host(), path)).head).toMatchObject({ status: 400 });
	expect(asked).toEqual([]);
});

test("a redirect isn't followed", async () => {
	using fetches = registry();
	const { head } = await fetches.fetch(host(), "/npm/away");
	expect(head).toMatchObject({ status: 502, reason: expect.stringContaining("169.254.169.254") });
});

test("an answer that breaks off is told as that, and not as its end", async () => {
	using fetches = registry();
	const { head } = await fetches.fetch(host(), "/npm/breaks");
	const { handle } = head as FetchReply;
	let reply = (await fetches.read(handle as number)).head as ReadReply;
	if (!reply.last) reply = (await fetches.read(handle as number)).head as ReadReply;
	expect(reply).toMatchObject({ last: true, reason: expect.any(String) });
});

test("a registry that isn't there is told", async () => {
	using fetches = at("http://127.0.0.1:1/");
	expect((await fetches.fetch("127.0.0.1:1", "/ms")).head).toMatchObject({ status: 502, reason: expect.any(String) });
});

test.each([undefined, null, {}, { kind: "exec" }, { kind: "fetch" }, { kind: "read", handle: "1" }])("%j isn't a question", (head) => {
	expect(() => questionOf(head)).toThrow();
});
