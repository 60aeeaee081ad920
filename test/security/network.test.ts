import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deploy, fixture } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

/** Something of the host's that would answer, in the host's namespace of abstract sockets. */
const abstract = createServer((socket) => socket.end());
const ABSTRACT = `\0berth-test-${process.pid}`;
beforeAll(() => new Promise<void>((resolve) => abstract.listen(ABSTRACT, resolve)));
afterAll(() => new Promise((resolve) => abstract.close(resolve)));

interface Reached {
	readonly tcp: readonly string[];
	readonly unix: readonly string[];
	readonly names: readonly string[];
	readonly udp: string;
	readonly fetch: string;
}

describe("a function without a network", () => {
	it("reaches nothing: not the gateway, not the host, not the metadata service, no name, no socket of the host's", async () => {
		const gateway = Number(new URL(stack.url).port);
		const deployed = await deploy(stack, { source: fixture("connects") });
		const reached = await deployed.result<Reached>({
			tcp: [
				["127.0.0.1", gateway],
				["127.0.0.1", 6379],
				["::1", gateway],
				["169.254.169.254", 80],
				["10.0.0.1", 80],
				["172.17.0.1", 80],
				["8.8.8.8", 53],
			],
			unix: [
				ABSTRACT,
				join(stack.dataDir, "run", "durable.sock"),
				join(stack.dataDir, "run", "fast.sock"),
				join(stack.dataDir, "run", "launcher.sock"),
				"/var/run/docker.sock",
				"/run/berth/agent.sock",
			],
			names: ["example.org", "metadata.google.internal", "host.docker.internal"],
		});
		const refused = /^E(?:CONNREFUSED|NETUNREACH|HOSTUNREACH|ADDRNOTAVAIL|ACCES|NOENT|PERM|AFNOSUPPORT)$/;
		for (const how of [...reached.tcp, ...reached.unix]) expect(how).toMatch(refused);
		for (const how of reached.names) expect(how).toMatch(/^E(?:AI_AGAIN|NOTFOUND|CONNREFUSED)$/);
		expect(reached.udp).toMatch(refused);
		expect(reached.fetch).toMatch(refused);
	});

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
