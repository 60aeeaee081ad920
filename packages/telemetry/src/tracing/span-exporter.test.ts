import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Span } from "./span.js";
import { SpanExporter, type SpanExporterOptions } from "./span-exporter.js";

let server: Server;
let received: { readonly headers: IncomingMessage["headers"]; readonly body: unknown }[];
let answer: (response: ServerResponse) => void;
let exported: number;
let dropped: [number, string][];
let open: SpanExporter[];
beforeEach(async () => {
	[received, exported, dropped, open] = [[], 0, [], []];
	answer = (response) => response.writeHead(200, { "content-type": "application/json" }).end("{}");
	server = createServer(async (request, response) => {
		const chunks: Buffer[] = [];
		for await (const chunk of request) chunks.push(chunk as Buffer);
		received.push({ headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString()) });
		answer(response);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
	server.closeAllConnections();
	await Promise.all(open.map((one) => one.close(0)));
	server.close();
});

function exporter(more: Partial<SpanExporterOptions> = {}): SpanExporter {
	const one = new SpanExporter({
		endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
		headers: { "api-key": "k" },
		resource: { "service.name": "berth" },
		onExported: (spans) => {
			exported += spans;
		},
		onDropped: (spans, reason) => dropped.push([spans, reason]),
		everyMs: 10,
		firstPauseMs: 5,
		...more,
	});
	open.push(one);
	return one;
}

const span = (more: Partial<Span> = {}): Span => ({
	traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
	spanId: "00f067aa0ba902b7",
	name: "run",
	kind: "server",
	startMs: 1_764_096_000_000.25,
	endMs: 1_764_096_000_001.5,
	attributes: { text: "a", whole: 3, part: 0.5, flag: true },
	...more,
});

describe("spans", () => {
	test("arrive as OTLP has them in JSON, with the headers that the collector wants", async () => {
		const one = exporter();
		one.take(span({ parentSpanId: "00f067aa0ba902b8", error: "it threw" }));
		await expect.poll(() => exported).toBe(1);
		expect(received[0]?.headers).toMatchObject({ "content-type": "application/json", "api-key": "k" });
		expect(received[0]?.body).toEqual({
			resourceSpans: [
				{
					resource: { attributes: [{ key: "service.name", value: { stringValue: "berth" } }] },
					scopeSpans: [
						{
							scope: { name: "berth" },
							spans: [
								{
									traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
									spanId: "00f067aa0ba902b7",
									parentSpanId: "00f067aa0ba902b8",
									name: "run",
									kind: 2,
									startTimeUnixNano: "1764096000000250000",
									endTimeUnixNano: "1764096000001500000",
									attributes: [
										{ key: "text", value: { stringValue: "a" } },
										{ key: "whole", value: { intValue: "3" } },
										{ key: "part", value: { doubleValue: 0.5 } },
										{ key: "flag", value: { boolValue: true } },
									],
									status: { code: 2, message: "it threw" },
								},
							],
						},
					],
				},
			],
		});
	});

	test("that come together go together, the last ones when it is closed", async () => {
		const one = exporter({ everyMs: 60_000 });
		for (let n = 0; n < 600; n++) one.take(span());
		await expect.poll(() => [exported, received.length]).toEqual([600, 2]);
		one.take(span());
		await one.close(1000);
		expect([exported, received.length, dropped]).toEqual([601, 3, []]);
	});

	test("are sent again where the collector may take them later, and not where it won't", async () => {
		const statuses = [503, 429, 200, 400];
		answer = (response) => response.writeHead(statuses.shift() ?? 500, { "retry-after": "0" }).end();
		const one = exporter();
		one.take(span());
		await expect.poll(() => exported).toBe(1);
		one.take(span());
		await expect.poll(() => dropped).toEqual([[1, "the collector answered 400"]]);
		expect(received).toHaveLength(4);
	});

	test("that nobody takes, or there is no room for, are counted as dropped", async () => {
		const one = exporter({ firstPauseMs: 1 });
		await new Promise((resolve) => server.close(resolve));
		for (let n = 0; n < 3000; n++) one.take(span());
		await expect.poll(() => dropped.reduce((sum, [spans]) => sum + spans, 0)).toBe(3000);
		expect(dropped.some(([, reason]) => reason.includes("ECONNREFUSED"))).toBe(true);
		expect(exported).toBe(0);
	});

	test("that can't be written are dropped with their batch, and those after it arrive", async () => {
		const one = exporter();
		one.take(span({ startMs: Number.NEGATIVE_INFINITY }));
		await expect.poll(() => dropped).toEqual([[1, expect.stringContaining("can't be written")]]);
		one.take(span());
		await expect.poll(() => exported).toBe(1);
	});

	test("hold up nobody who stops: a collector that doesn't answer is left", async () => {
		answer = () => undefined;
		const one = exporter();
		one.take(span());
		await expect.poll(() => received).toHaveLength(1);
		await one.close(1);
		expect(dropped.map(([spans]) => spans)).toEqual([1]);
	});
});
