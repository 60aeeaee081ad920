import { describe, expect, it } from "vitest";
import { deploy } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

describe("a function without a network", () => {
	it("sees no interface but its own loopback", async () => {
		const source = "import { networkInterfaces } from 'node:os'; export default () => Object.keys(networkInterfaces());";
		expect((await (await deploy(stack, { source })).result<string[]>()).filter((name) => name !== "lo")).toEqual([]);
	});

	it("may listen on its own loopback, which nobody else reaches", async () => {
		const source = `import { createServer } from "node:http";
			let port = 0;
			export default async () => {
				const server = createServer((_, response) => response.end("mine"));
				await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
				port = (server.address() as { port: number }).port;
				const text = await (await fetch("http://127.0.0.1:" + port)).text();
				return { text, port }; };`;
		const outcome = await (await deploy(stack, { source })).invoke();
		if (outcome.outcome === "succeeded") {
			const { text, port } = JSON.parse(outcome.raw.body.toString()) as { text: string; port: number };
			expect(text).toBe("mine");
			await expect(fetch(`http://127.0.0.1:${port}`)).rejects.toThrow();
		} else expect(outcome.problem?.detail).toMatch(/EADDRNOTAVAIL|ENETUNREACH|fetch failed/);
	});
});
