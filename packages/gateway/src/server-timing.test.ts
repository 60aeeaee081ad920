import type { InvocationAnswer, InvocationRequest } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { ended } from "./testing/settlements.js";

let stack: OwnStack;
let seen: InvocationRequest | undefined;
beforeAll(async () => {
	stack = await startOwnStack({ hello: {} });
	stack.onInvocation(async ({ request, lane }) => {
		// One in the background may come at any time.
		if (lane === "interactive") seen = request;
		return ended("succeeded", {}, { body: { text: "1" } });
	});
});
afterAll(() => stack?.close());

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = `00-${TRACE}-00f067aa0ba902b7-01`;
const invoke = (headers: Record<string, string> = {}) => stack.fetch("/v1/functions/hello/invocations", { method: "POST", headers });
const timing = (answer: Response) => answer.headers.get("server-timing") ?? "";

describe("Server-Timing", () => {
	test.each([
		["an answer of the API", () => stack.fetch("/v1/functions")],
		["a problem", () => stack.fetch("/v1/functions/nothing")],
		["a path that there is none of", () => stack.fetch("/nothing")],
		["a refused key", () => fetch(`${stack.url}/v1/functions`)],
		["a refused delivery to a hook", () => fetch(`${stack.url}/hook/x`, { method: "POST" })],
		["an event stream", () => stack.fetch("/v1/functions/hello/versions/1/log", { headers: { accept: "text/event-stream" } })],
	])("is on %s", async (_, ask) => {
		const answer = await ask();
		await answer.arrayBuffer();
		expect(timing(answer)).toMatch(/^total;dur=\d+\.\d\d$/);
	});

	test("has an attempt's phases and its trace, and the trace alone before there is an attempt", async () => {
		const phases = "queue;dur=1.00, start;dur=2.00;desc=warm, init;dur=3.00, run;dur=4.00";
		expect(timing(await invoke())).toMatch(
			new RegExp(`^traceparent;desc="00-[0-9a-f]{32}-[0-9a-f]{16}-01", ${phases}, total;dur=\\d+\\.\\d\\d$`),
		);
		const accepted = await invoke({ prefer: "respond-async" });
		expect(accepted.status).toBe(202);
		// Once it ran: what runs later would be seen by the next test.
		await stack.fetch(`${accepted.headers.get("location")}?wait=30s`);
		expect(timing(accepted)).toMatch(/^traceparent;desc="00-[0-9a-f]{32}-[0-9a-f]{16}-01", total;dur=\d+\.\d\d$/);
	});
});

describe("a trace", () => {
	test("that came along goes on, with a span of the gateway's and the state, into the invocation, its record and its answer", async () => {
		const answer = await invoke({ traceparent: PARENT, tracestate: "vendor=1" });
		expect(seen?.trace).toEqual({ traceparent: expect.stringMatching(`^00-${TRACE}-[0-9a-f]{16}-01$`), tracestate: "vendor=1" });
		expect(seen?.trace?.traceparent).not.toBe(PARENT);
		expect(timing(answer)).toContain(`traceparent;desc="${seen?.trace?.traceparent}"`);
		const record = await stack.fetch(`/v1/invocations/${answer.headers.get("berth-invocation-id")}`);
		expect(((await record.json()) as InvocationAnswer).traceId).toBe(TRACE);
	});

	test("is a new one when none came, or what came isn't one; no function sees the caller's own header", async () => {
		await (await stack.fetch("/fn/default/hello", { headers: { traceparent: `${PARENT}0`, tracestate: "vendor=1" } })).text();
		expect(seen?.trace).toEqual({ traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/) });
		expect(seen?.trace?.traceparent).not.toContain(TRACE);
		const names = seen?.trigger.kind === "http" ? seen.trigger.request.headers.map(([name]) => name) : [];
		expect(names).toContain("host");
		expect(names).not.toContain("traceparent");
		expect(names).not.toContain("tracestate");
	});
});
