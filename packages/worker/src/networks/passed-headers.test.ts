import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { type AddressInfo, connect, createServer as createTcp } from "node:net";
import { expect, test } from "vitest";
import { passBody, requestHeaders } from "./passed-headers.js";

test("a body that no header frames where it goes isn't sent there", async () => {
	let heard = "";
	const next = createTcp((socket) => void socket.on("error", () => undefined).on("data", (bytes) => (heard += bytes)));
	await once(next.listen(0, "127.0.0.1"), "listening");
	// One that loses the header, as Node did with those behind the first thousand.
	const server = createServer((request, response) => {
		const headers = ["Host", "next", ...requestHeaders(request, (name) => name !== "host" && name !== "content-length")];
		const asked = httpRequest({ port: (next.address() as AddressInfo).port, method: "GET", headers, agent: false });
		asked.on("error", () => undefined);
		passBody(request, asked, headers, () => response.writeHead(400).end());
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
	client.write(`GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nhidden`);
	const [said] = (await once(client, "data")) as [Buffer];
	expect(said.toString()).toMatch(/^HTTP\/1\.1 400 /);
	expect(heard).toBe("");
	client.destroy();
	server.close();
	next.close();
});
