import { connect } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, fixture } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
let sleeps: Deployed;
beforeAll(async () => {
	sleeps = await deploy(stack, { source: fixture("sleeps") });
	await sleeps.result();
});

/** A connection that says what it is told to, byte for byte. */
function say(text: string): { readonly closed: Promise<string>; readonly end: () => void } {
	const { hostname, port } = new URL(stack.url);
	const socket = connect(Number(port), hostname);
	let answer = "";
	socket.setEncoding("latin1").on("data", (chunk) => {
		answer += chunk;
	});
	socket.on("error", () => undefined);
	socket.write(text);
	const closed = new Promise<string>((resolve) => socket.once("close", () => resolve(answer)));
	return { closed, end: () => socket.destroy() };
}

describe("a caller that goes away", () => {
	it("in the middle of an invocation leaves the pool healthy and its invocation settled", async () => {
		const aborts = Array.from({ length: 10 }, async () => {
			const abort = new AbortController();
			const invoked = sleeps.invoke({ ms: 1000 }, { signal: abort.signal }).catch(() => "gone");
			setTimeout(() => abort.abort(), 100);
			return invoked;
		});
		await Promise.all(aborts);
		expect(await sleeps.result()).toBe("slept");
		await eventually(async () => {
			const [node] = await stack.client.stats();
			expect([node?.sandboxes.busy, node?.waiting]).toEqual([0, 0]);
		});
		expect(await sleeps.result()).toBe("slept");
	});

	it("while it sends its body is forgotten, and runs nothing", async () => {
		const counts = await deploy(stack, { source: fixture("counts"), concurrency: 1 });
		expect(await counts.result()).toMatchObject({ invocations: 1 });
		for (let round = 0; round < 10; round++) {
			const head = `POST /v1/functions/${counts.name}/invocations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${stack.key}\r\ncontent-length: 1000\r\n\r\n`;
			const half = say(`${head}{"ms":`);
			await new Promise((resolve) => setTimeout(resolve, 5));
			half.end();
			await half.closed;
		}
		expect(await counts.result()).toMatchObject({ invocations: 2 });
	});
});

describe("a caller that speaks no HTTP", () => {
	it.each([
		["nothing that makes sense", "\x16\x03\x01 hello\r\n\r\n"],
		["a header without an end", `GET /livez HTTP/1.1\r\nx: ${"y".repeat(100_000)}`],
		["two lengths", "POST /v1/functions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"],
		["a length and chunks", "POST /v1/functions HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
	])("but says %s is answered 4xx or closed, and others are served", async (_, text) => {
		const spoken = say(text);
		const answer = await spoken.closed;
		expect(answer).toMatch(/^(?:HTTP\/1\.1 4\d\d |$)/);
		expect(await sleeps.result()).toBe("slept");
	});
});

describe("callers that are slow", () => {
	it("hold no one up: a hundred half-sent requests, and an invocation is answered", async () => {
		const slow = Array.from({ length: 100 }, () => say(`POST /v1/functions/${sleeps.name}/invocations HTTP/1.1\r\nhost: x\r\n`));
		for (let round = 0; round < 5; round++) expect(await sleeps.result()).toBe("slept");
		for (const each of slow) each.end();
		await Promise.all(slow.map(({ closed }) => closed));
	});
});
