import { KEY_LIFE_MS, type NewApiKey, type Problem } from "@berth/contracts";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { ended } from "./testing/settlements.js";

let stack: OwnStack;
const over = Promise.withResolvers<void>();
beforeAll(async () => {
	stack = await startOwnStack({ hello: {} });
	// What builds and runs does so until the end, so that no stream ends by itself.
	stack.onInvocation(async () => {
		await over.promise;
		return ended("succeeded");
	});
	stack.onBuild(() => over.promise);
});
afterAll(async () => {
	over.resolve();
	await stack?.close();
});

const made = (input: object) => stack.call<NewApiKey>("POST", "/v1/keys", input, 201);

/** A stream that has begun. @returns what it ends with, once it has ended */
async function open(path: string, headers: Record<string, string> = {}): Promise<() => Promise<{ event: string; data: Problem }>> {
	const answer = await stack.fetch(path, { headers: { accept: "text/event-stream", ...headers } });
	expect([answer.status, answer.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/event-stream")]);
	return async () => {
		const [, event = "", data = ""] = /event: (\w+)\ndata: (.*)\n\n$/.exec(await answer.text()) ?? [];
		return { event, data: JSON.parse(data) as Problem };
	};
}

test("streams of all kinds end with a problem when their key is revoked, and others go on", async () => {
	const { key } = await made({ name: "watcher", scopes: ["read"] });
	const { id } = await stack.call<{ id: string }>("POST", "/v1/functions/hello/invocations?mode=async", {}, 202);
	await stack.call("PUT", "/v1/functions/built", { source: "export default () => 1" }, 202);
	await stack.call("POST", "/v1/functions/hello/hooks", { name: "hook", scheme: "none" }, 201);
	const authorization = `Bearer ${key}`;
	const paths = [
		"/v1/events",
		"/v1/logs",
		`/v1/invocations/${id}/events`,
		"/v1/functions/built/versions/1/log",
		"/v1/functions/hello/hooks/hook/events",
	];
	const ends = await Promise.all(paths.map((path) => open(path, { authorization })));
	const other = await stack.fetch("/v1/events?kind=deploy", { headers: { accept: "text/event-stream" } });
	await stack.call("DELETE", "/v1/keys/watcher", undefined, 204);
	for (const end of ends)
		expect(await end()).toMatchObject({
			event: "problem",
			data: { code: "unauthorized", status: 401, detail: expect.stringMatching(/^the stream ends: /) },
		});
	await stack.call("PUT", "/v1/functions/later", { source: "export default () => 1" }, 202);
	const reader = (other.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
	for (let text = ""; !text.includes('"function":"later"'); ) {
		const { value, done } = await reader.read();
		expect([done, value]).toEqual([false, expect.not.stringContaining("problem")]);
		text += value;
	}
	await reader.cancel();
});

test("the operator's stream of a project ends when that is removed", async () => {
	await stack.call("PUT", "/v1/projects/shop", undefined, 201);
	const end = await open("/v1/events", { "berth-project": "shop" });
	await stack.call("DELETE", "/v1/projects/shop", undefined, 204);
	expect(await end()).toMatchObject({ event: "problem", data: { code: "project_not_found" } });
});

test("a key that expires ends its streams without any news", async () => {
	const { key, expiresAt = "" } = await made({ name: "short", scopes: ["read"], expiresInMs: KEY_LIFE_MS.min });
	vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"], now: Date.now() });
	try {
		const end = await open("/v1/events", { authorization: `Bearer ${key}` });
		vi.setSystemTime(Date.parse(expiresAt));
		vi.advanceTimersByTime(15_000);
		expect(await end()).toMatchObject({ event: "problem", data: { code: "unauthorized", detail: expect.stringContaining(expiresAt) } });
	} finally {
		vi.useRealTimers();
	}
});
