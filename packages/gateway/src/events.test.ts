import type { EventList, HookEventList, Problem, ProjectEvent } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack();
});
afterAll(() => stack?.close());

const events = async (query = "") => ((await (await stack.fetch(`/v1/events${query}`)).json()) as EventList).events;
const told = ({ kind, what, function: name }: ProjectEvent) => [kind, what, name];

/** A stream's text as it comes, until it is cancelled. */
async function open(query = "", headers: Record<string, string> = {}) {
	const stop = new AbortController();
	const answer = await stack.fetch(`/v1/events${query}`, { headers: { accept: "text/event-stream", ...headers }, signal: stop.signal });
	let text = "";
	const reading = (async () => {
		const decoder = new TextDecoder();
		for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) text += decoder.decode(chunk);
	})().catch(() => undefined);
	return {
		text: () => text,
		close: async () => {
			stop.abort();
			await reading;
		},
	};
}

describe("events", () => {
	test("say what was deployed, once for all who could tell it, by kind, function and time", async () => {
		await stack.deploy("one");
		await stack.deploy("two");
		stack.services.events.record(undefined, { kind: "node", what: "lost", node: "node_1", host: "one" }, "gone:1");
		stack.services.events.record(undefined, { kind: "node", what: "left", node: "node_1" }, "gone:1");
		await expect.poll(() => events("?kind=node")).toHaveLength(1);
		expect((await events("?kind=deploy")).map(told)).toEqual([
			["deploy", "queued", "two"],
			["deploy", "queued", "one"],
		]);
		expect((await events("?function=one")).map(told)).toEqual([["deploy", "queued", "one"]]);
		expect(await events("?limit=1")).toHaveLength(1);
		expect(await events("?since=2999-01-01T00:00:00Z")).toEqual([]);
		expect((await events("?kind=node"))[0]).toMatchObject({
			...{ what: "lost", node: "node_1", host: "one" },
			id: expect.stringMatching(/^\d+-\d+$/),
		});
	});

	test("say on which machine it was to the operator, and to a project's keys by the node's id alone", async () => {
		stack.services.events.record("default", { kind: "build", what: "ready", function: "hosted", node: "node_1", host: "secret-host" });
		await expect.poll(() => events("?function=hosted")).toMatchObject([{ host: "secret-host" }]);
		const { key } = await stack.call<{ key: string }>("POST", "/v1/keys", { name: "reader", scopes: ["read"] }, 201);
		const headers = { authorization: `Bearer ${key}` };
		const listed = await (await stack.fetch("/v1/events", { headers })).text();
		const stream = await open("?since=2020-01-01T00:00:00Z", headers);
		await expect.poll(stream.text).toContain('"function":"hosted"');
		await stream.close();
		expect(listed).toContain('"node":"node_1"');
		expect(listed + stream.text()).not.toContain("secret-host");
	});

	test("of a function that isn't there, nor was lately, are a mistake and no empty list", async () => {
		await stack.deploy("quiet");
		expect(await events("?function=quiet&kind=hook")).toEqual([]);
		const answer = await stack.fetch("/v1/events?function=nope");
		expect([answer.status, ((await answer.json()) as Problem).code]).toEqual([404, "function_not_found"]);
	});

	test("are shown as they happen, and from the last one on that somebody has", async () => {
		await stack.deploy("early");
		const stream = await open();
		await stack.deploy("late");
		await expect.poll(stream.text).toContain('"function":"late"');
		expect(stream.text()).not.toContain('"function":"early"');
		await stream.close();
		const early = (await events("?function=early"))[0]?.id ?? "";
		const resumed = await open("", { "last-event-id": early });
		await expect.poll(resumed.text).toContain('"function":"late"');
		expect(resumed.text()).not.toContain('"function":"early"');
		await resumed.close();
	});

	test("of a refused delivery are one a minute: strangers drive nothing out", async () => {
		const made = await stack.fetch("/v1/functions/one/hooks", {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ name: "github", scheme: "github" }),
		});
		const { path } = (await made.json()) as { readonly path: string };
		// The hook's own log has one in 100 ms.
		const refused = async () => {
			expect((await fetch(stack.url + path, { method: "POST", body: "{}" })).status).toBe(401);
			const log = await stack.fetch("/v1/functions/one/hooks/github/events?result=refused");
			return ((await log.json()) as HookEventList).events.length;
		};
		await expect.poll(refused).toBeGreaterThan(2);
		await expect.poll(async () => (await events("?kind=hook")).length).toBeGreaterThan(0);
		// Two when a minute begins in between.
		expect((await events("?kind=hook")).length).toBeLessThanOrEqual(2);
		expect((await events("?kind=hook"))[0]).toMatchObject({ what: "refused", function: "one", hook: "github", reason: expect.any(String) });
	});

	test.each([
		["kind=nonsense", "kind"],
		["since=yesterday", "since"],
		["limit=0", "limit"],
		["colour=red", "colour"],
	])("can't be asked for by %s", async (query, field) => {
		const answer = await stack.fetch(`/v1/events?${query}`);
		expect(answer.status).toBe(400);
		expect(((await answer.json()) as Problem).issues).toEqual([{ field, message: expect.any(String) }]);
	});
});
