import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { closedLoop } from "./closed-loop.js";
import { openLoop } from "./open-loop.js";

async function serve(listener: RequestListener) {
	const server = createServer(listener).listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	const request = { url: `http://127.0.0.1:${port}/invocations?x=1`, headers: { authorization: "Bearer key" }, body: "{}" };
	const close = async () => {
		server.closeAllConnections();
		await new Promise((resolve) => server.close(resolve));
	};
	return { request, [Symbol.asyncDispose]: close };
}

describe("the open loop", () => {
	test("keeps its rate, and a stall of the server shows in every request that was due meanwhile", async () => {
		const stallMs = 300;
		let stalled: Promise<unknown> | undefined;
		let served = 0;
		await using server = await serve(async (_, response) => {
			if (++served === 300) stalled = new Promise((resolve) => setTimeout(resolve, stallMs));
			await stalled;
			response.setHeader("berth-outcome", "succeeded").end("ok");
		});
		const figures = await openLoop(server.request, { ratePerSecond: 400, seconds: 1.5 });
		// 600 were due, 120 of them during the stall: a closed loop would have noticed one.
		expect(figures.answered).toBe(600);
		expect(figures.errors).toEqual({});
		expect(figures.p90Ms).toBeGreaterThan(stallMs / 4);
		expect(figures.maxMs).toBeGreaterThan(stallMs * 0.9);
	});

	test("ends when it is told to", async () => {
		await using server = await serve((_, response) => response.end());
		const signal = AbortSignal.timeout(100);
		await expect(openLoop(server.request, { ratePerSecond: 50, seconds: 60, signal })).rejects.toThrow();
	});
});

describe("the closed loop", () => {
	test("has as many requests under way as connections, and no more", async () => {
		let inFlight = 0;
		let most = 0;
		await using server = await serve((_, response) => {
			most = Math.max(most, ++inFlight);
			setTimeout(() => {
				inFlight--;
				response.end();
			}, 2);
		});
		const figures = await closedLoop(server.request, { connections: 5, seconds: 0.3 });
		expect(most).toBe(5);
		expect(figures.answered).toBeGreaterThan(5);
	});

	test("that is interrupted doesn't wait for an answer that doesn't come", async () => {
		const interruption = new AbortController();
		await using server = await serve(() => interruption.abort(new Error("interrupted")));
		const loop = closedLoop(server.request, { connections: 2, seconds: 60, signal: interruption.signal });
		await expect(loop).rejects.toThrow("interrupted");
	});

	test("tells what didn't succeed apart, and doesn't count it as throughput", async () => {
		const answers = [{ "berth-outcome": "succeeded" }, { "berth-outcome": "timed_out" }, {}];
		let next = 0;
		await using server = await serve((request, response) => {
			const headers = answers[next++ % 3];
			if (next % 7 === 0) request.socket.destroy();
			else response.writeHead(headers?.["berth-outcome"] === "succeeded" ? 200 : 429, headers).end();
		});
		const figures = await closedLoop(server.request, { connections: 1, seconds: 0.3 });
		expect(Object.keys(figures.errors).sort()).toEqual(["http_429", "no_answer", "timed_out"]);
		expect(figures.perSecond * figures.seconds).toBeLessThan(figures.answered * 0.5);
	});
});
