import { BerthError, type Problem, type TailAnswer } from "@berth/contracts";
import { openNodeMembership } from "@berth/queue";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { ended } from "./testing/settlements.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ hello: {} });
});
afterAll(() => stack?.close());

describe("logs of one invocation that is on record", () => {
	test("are its record's, as grave as asked for, and the newest so many", async () => {
		stack.onInvocation(async () => ({
			...ended("succeeded", { attempt: 2 }, { body: { text: "" } }),
			logs: {
				lines: [
					{ atMs: 1000, stream: "stdout", text: "one" },
					{ atMs: 2000, stream: "stderr", text: "two", level: "warn" },
				],
				truncated: false,
			},
		}));
		const answer = await stack.fetch("/v1/functions/hello/invocations", { method: "POST" });
		const id = answer.headers.get("berth-invocation-id");
		const logs = async (query = "") => ((await (await stack.fetch(`/v1/logs?invocation=${id}${query}`)).json()) as TailAnswer).lines;
		expect(await logs()).toMatchObject([
			{ level: "info", text: "one", function: "hello", version: 1, invocation: id, attempt: 2, traceId: expect.any(String) },
			{ level: "warn", text: "two" },
		]);
		expect(await logs("&level=warn")).toMatchObject([{ text: "two" }]);
		expect(await logs("&since=1970-01-01T00:00:02Z")).toMatchObject([{ text: "two" }]);
		expect(await logs("&limit=1")).toMatchObject([{ text: "two" }]);
	});
});

test("who follows is told once of a node that too many watch, and of its lines when it has a place there", async () => {
	const membership = await openNodeMembership({ fastUrl: stack.redis.url });
	let asked = 0;
	const line = { id: "1000-1-0a1b2c3d", atMs: 1000, stream: "stdout", text: "at last", function: "hello", version: 1 } as const;
	await membership.join({ id: "node_full", incarnation: "1", startedAtMs: Date.now() }, async ({ kind }) => {
		if (kind === "logs" && ++asked < 3) throw new BerthError("too_busy", "64 watch");
		return { kind: "logs", lines: asked === 3 ? [{ ...line, invocation: "inv_1", attempt: 1 }] : [], dropped: 0 };
	});
	const stop = new AbortController();
	const answer = await stack.fetch("/v1/logs", { headers: { accept: "text/event-stream" }, signal: stop.signal });
	let text = "";
	const reading = (async () => {
		for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) text += Buffer.from(chunk).toString();
	})().catch(() => undefined);
	await vi.waitFor(() => expect(text).toContain("at last"), 10_000);
	const told = text.split("\n").filter((said) => said.includes("64 watch"));
	expect(told).toEqual(['data: {"node":"node_full","code":"too_busy","detail":"64 watch"}']);
	// Nothing is missed but of the one that had no place.
	const [, following = ""] = /event: following\ndata: (.*)\n/.exec(text) ?? [];
	expect(JSON.parse(following)).toEqual({ nodes: ["node_test"] });
	expect(text.match(/event: following/g)).toHaveLength(1);
	stop.abort();
	await reading;
	await membership.leave();
});

describe("a question about logs", () => {
	test.each([
		["level=loud", "level"],
		["since=yesterday", "since"],
		["limit=-1", "limit"],
		["limit=1001", "limit"],
		["invocation=hello", "invocation"],
		["invocation=a&invocation=b", "invocation"],
		["colour=red", "colour"],
	])("that can't be meant is refused by field: %s", async (query, field) => {
		const answer = await stack.fetch(`/v1/logs?${query}`);
		expect(answer.status).toBe(400);
		expect(((await answer.json()) as Problem).issues).toEqual([{ field, message: expect.any(String) }]);
	});

	test("by a name that no function has, or after a line that is none, is refused", async () => {
		expect((await stack.fetch("/v1/logs?function=nothing")).status).toBe(404);
		expect((await stack.fetch("/v1/logs?function=No")).status).toBe(400);
		expect((await stack.fetch("/v1/logs", { headers: { accept: "text/event-stream", "last-event-id": "1;2" } })).status).toBe(400);
	});
});
