import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type HookWithSecret, INVOKING_HEADER, type InvocationRequest, type InvokingHead } from "@berth/contracts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Invocations } from "../invocations.js";
import { createJoinedApp } from "../joined.js";
import { ScheduleDispatcher } from "../schedules/dispatcher.js";
import { type OwnStack, startOwnStack } from "../testing/own-stack.js";
import { ended } from "../testing/settlements.js";

const CALLBACK = "http://127.0.0.1:9/done";
/** What a version may say of its invocations in the background. */
const BACKGROUND = { attempts: 2, backoffMs: 1000, maxAgeMs: 60_000, callbackUrl: CALLBACK, onSuccess: "other", onFailure: "other" };
const RETRY = { attempts: 2, backoffMs: 1000, maxAgeMs: 60_000 };

let stack: OwnStack;
let seen: InvocationRequest[] = [];
let hooks = 0;
beforeAll(async () => {
	stack = await startOwnStack(
		{ other: {}, shop: { background: BACKGROUND }, before: { background: { onSuccess: "shop" } } },
		{ callbackHosts: ["127.0.0.1:9"] },
	);
});
beforeEach(() => {
	seen = [];
	stack.onInvocation(async ({ request }) => {
		if (request.function === "shop") seen.push(request);
		return ended("succeeded", {}, { body: { text: "" } });
	});
});
afterAll(() => stack?.close());

async function post(path: string, body: unknown = {}): Promise<Record<string, unknown>> {
	const headers = { "content-type": "application/json" };
	const answer = await stack.fetch(path, { method: "POST", body: JSON.stringify(body), headers });
	expect(answer.ok).toBe(true);
	return (await answer.json()) as Record<string, unknown>;
}

async function hookOf(mode: string): Promise<HookWithSecret> {
	return (await post("/v1/functions/shop/hooks", { name: `h${hooks++}`, scheme: "none", mode })) as unknown as HookWithSecret;
}

async function invoking(async: boolean): Promise<void> {
	const server = createServer(createJoinedApp(new Invocations(stack.services), stack.services)).listen(0, "127.0.0.1");
	try {
		await once(server, "listening");
		const parent = { id: "inv_01h455vb4pex5vsknk084sn02q", function: "before" };
		const head: InvokingHead = { project: "default", parent, function: "shop", depth: 1, deadlineMs: Date.now() + 9000, async };
		const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
		const answer = await fetch(url, { method: "POST", body: "1", headers: { [INVOKING_HEADER]: JSON.stringify(head) } });
		expect(answer.status).toBe(async ? 202 : 204);
	} finally {
		server.close();
	}
}

const WAYS: Readonly<Record<string, readonly [source: string, () => Promise<unknown>]>> = {
	"a caller": ["api", () => post("/v1/functions/shop/invocations?mode=async")],
	"a delivery to a hook": ["hook", async () => post((await hookOf("background")).path)],
	"a delivery that is redelivered": [
		"redelivery",
		async () => {
			const { name, path } = await hookOf("background");
			const { event } = await post(path);
			await expect.poll(() => seen.length).toBe(1);
			seen = [];
			await post(`/v1/functions/shop/hooks/${name}/events/${event}/redeliver`);
		},
	],
	"a schedule": [
		"schedule",
		async () => {
			const made = await post("/v1/functions/shop/schedules", { name: "soon", everyMs: 60_000 });
			const dueMs = Date.parse(String((made["next"] as string[])[0]));
			await new ScheduleDispatcher(stack.services, () => dueMs).round();
		},
	],
	"a schedule by hand": [
		"schedule",
		async () => {
			await post("/v1/functions/shop/schedules", { name: "by-hand", cron: "0 0 1 1 *" });
			await post("/v1/functions/shop/schedules/by-hand/run");
		},
	],
	"another function": ["function", () => invoking(true)],
	"a settlement that it follows": ["function", () => post("/v1/functions/before/invocations?mode=async")],
	"a replay": [
		"replay",
		async () => {
			const { id } = await post("/v1/functions/shop/invocations?mode=async");
			await expect.poll(async () => (await stack.services.invocations.record(String(id)))?.state).toBe("settled");
			seen = [];
			await post(`/v1/invocations/${id}/replay`);
		},
	],
};

test.each(Object.keys(WAYS))("what %s puts into the background has what its version says, its source and a trace", async (name) => {
	const [source, begin] = WAYS[name] as (typeof WAYS)[string];
	await begin();
	await expect.poll(() => seen.length).toBe(1);
	const [request] = seen as [InvocationRequest];
	expect(request).toMatchObject({
		retry: RETRY,
		callback: CALLBACK,
		follow: { onSuccess: "other", onFailure: "other" },
		trace: { traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-/) },
	});
	expect(request.source ?? "api").toBe(source);
	expect(request).not.toHaveProperty("expiresAtMs");
});

test("what somebody waits for has nothing of it", async () => {
	await stack.fetch("/v1/functions/shop/invocations", { method: "POST" });
	await invoking(false);
	await stack.fetch((await hookOf("sync")).path, { method: "POST", body: "{}" });
	expect(seen).toHaveLength(3);
	for (const request of seen) {
		expect(request).toMatchObject({ expiresAtMs: expect.any(Number) });
		for (const field of ["retry", "callback", "follow"]) expect(request).not.toHaveProperty(field);
	}
});

test("while the durable Redis has room for no more, who asks is refused with the reason, and a firing waits until it has", async () => {
	const limit = (bytes: number) => stack.redis.client((each) => each.config("SET", "maxmemory", String(bytes)));
	const used = await stack.redis.client(async (each) => Number(/used_memory:(\d+)/.exec(await each.info("memory"))?.[1]));
	const { path } = await hookOf("background");
	const made = await post("/v1/functions/shop/schedules", { name: "when-full", everyMs: 60_000 });
	const dueMs = Date.parse(String((made["next"] as string[])[0]));
	await limit(Math.round(used / 0.9));
	try {
		const asked = () => stack.fetch("/v1/functions/shop/invocations?mode=async", { method: "POST", body: "{}" });
		await expect.poll(async () => (await asked()).status).toBe(507);
		seen = [];
		const refused = await asked();
		expect(await refused.json()).toMatchObject({
			code: "storage_full",
			retryable: true,
			detail: expect.stringMatching(/nothing was accepted$/),
		});
		expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
		expect((await stack.fetch(path, { method: "POST", body: "{}" })).status).toBe(507);
		await new ScheduleDispatcher(stack.services, () => dueMs).round();
		expect(seen).toEqual([]);
	} finally {
		await limit(0);
	}
	await expect.poll(async () => (await stack.fetch(path, { method: "POST", body: "{}" })).ok).toBe(true);
	await new ScheduleDispatcher(stack.services, () => dueMs + 2000).round();
	await expect.poll(() => seen.map(({ source }) => source).sort()).toEqual(["hook", "schedule"]);
});
