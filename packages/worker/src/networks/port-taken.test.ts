import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { serveNames } from "./function-names.js";
import { portTaken } from "./port-taken.js";

test("a port that something else has is said with its number and what to do", async () => {
	const [first, second] = [createServer(), createServer()];
	try {
		await once(first.listen(0, "127.0.0.1"), "listening");
		const { port } = first.address() as AddressInfo;
		const listening = once(second.listen(port, "127.0.0.1"), "listening").catch(portTaken("tcp", "127.0.0.1", port));
		await expect(listening).rejects.toThrow(new RegExp(`127\\.0\\.0\\.1:${port} \\(tcp\\).*ss -lnpt 'sport = :${port}'`));
	} finally {
		first.close();
	}
});

test("so is one of names, over UDP", async () => {
	const socket = createSocket("udp4");
	try {
		socket.bind(0, "127.0.0.1");
		await once(socket, "listening");
		const { port } = socket.address();
		await expect(serveNames("127.0.0.1", port, () => undefined)).rejects.toThrow(`ss -lnpu 'sport = :${port}'`);
	} finally {
		socket.close();
	}
});
