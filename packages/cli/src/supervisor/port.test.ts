import { createServer } from "node:net";
import { expect, test } from "vitest";
import { listenObstacle } from "./port.js";

test("a port that is taken, and an address that this machine hasn't, say which option names another", async () => {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as { port: number };
	expect(await listenObstacle("127.0.0.1", port)).toEqual({
		what: `something else listens on 127.0.0.1:${port}`,
		mend: "--port names another port, --port 0 takes a free one",
	});
	await new Promise((resolve) => server.close(resolve));
	expect(await listenObstacle("127.0.0.1", port)).toBeUndefined();
	expect(await listenObstacle("192.0.2.1", 80)).toMatchObject({
		what: "this machine has no address 192.0.2.1",
		mend: expect.stringMatching(/^--host /),
	});
});
