import type { AuditList, NewApiKey } from "@berth/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isChange } from "./audit.js";
import type { Invocations } from "./invocations.js";
import { routes } from "./routes.js";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ hello: {} });
});
afterAll(() => stack?.close());

const entries = async () => (await stack.call<AuditList>("GET", "/v1/audit?limit=2000")).entries;
/** The newest, in the order in which they were made. */
const newest = async (count: number) => (await entries()).slice(0, count).reverse();

test("a change is there with whose it was, what, from where and how it was answered", async () => {
	const { id, key } = await stack.call<NewApiKey>("POST", "/v1/keys", { name: "ci", scopes: ["deploy"] }, 201);
	const headers = { authorization: `Bearer ${key}` };
	expect((await stack.fetch("/v1/networks/shop?x=1", { method: "PUT", headers })).status).toBe(400);
	expect((await stack.fetch("/v1/networks/shop", { method: "PUT", headers })).status).toBe(201);
	expect((await stack.fetch("/v1/networks/shop", { method: "DELETE", headers })).status).toBe(204);
	const ci = { key: { id, name: "ci" }, from: "127.0.0.1", path: "/v1/networks/shop" };
	expect(await newest(3)).toMatchObject([
		{ key: { name: "first" }, method: "POST", path: "/v1/keys", about: "ci: deploy", status: 201 },
		{ ...ci, method: "PUT", status: 201 },
		{ ...ci, method: "DELETE", status: 204 },
	]);
	expect(JSON.stringify(await entries())).not.toContain(key);
});

test("what was refused, and what only looks or invokes, isn't in it", async () => {
	const before = await entries();
	await stack.call("DELETE", "/v1/functions/nothere", undefined, 404);
	await stack.call("PUT", "/v1/functions/hello", { source: "x", nothing: 1 }, 400);
	await stack.call("POST", "/v1/keys", { name: "ci", scopes: ["read"] }, 409);
	await stack.call("GET", "/v1/functions");
	await stack.call("GET", "/v1/keys");
	expect(await entries()).toEqual(before);
});

test("a deploy that is waited for and fails is a change", async () => {
	const failure = { code: "build_failed", phase: "bundle", message: "It doesn't build.", diagnostics: [] } as const;
	stack.onBuild(async ({ project, function: name, version }) => {
		const { functions } = stack.services;
		await functions.endBuild(await functions.needVersion(project, name, version), {
			state: "failed",
			failure,
			build: { durationMs: 0, phases: {}, layers: [], warnings: [] },
		});
	});
	try {
		await stack.call("PUT", "/v1/functions/broken?wait=true", { source: "export default" }, 422);
	} finally {
		stack.onBuild(undefined);
	}
	expect(await newest(1)).toMatchObject([{ method: "PUT", path: "/v1/functions/broken", status: 422 }]);
});

test("a repetition of a change under its idempotency key is written as it is answered", async () => {
	const headers = { "idempotency-key": "pause-1" };
	for (let i = 0; i < 2; i++) expect((await stack.fetch("/v1/functions/hello/pause", { method: "POST", headers })).status).toBe(200);
	expect(await newest(2)).toMatchObject(Array(2).fill({ path: "/v1/functions/hello/pause", status: 200 }));
});

test("while it can't be written nothing is changed", async () => {
	await stack.redis.client(async (redis) => {
		await redis.rename("{berth}:audit:default", "{berth}:audit:kept");
		await redis.set("{berth}:audit:default", "no stream");
	});
	try {
		await stack.call("PUT", "/v1/networks/never", undefined, 503);
	} finally {
		await stack.redis.client((redis) => redis.rename("{berth}:audit:kept", "{berth}:audit:default"));
	}
	expect(await stack.call("GET", "/v1/networks")).toEqual({ networks: [] });
});

test("it is read in pages", async () => {
	const first = await stack.call<AuditList>("GET", "/v1/audit?limit=1");
	const second = await stack.call<AuditList>("GET", `/v1/audit?limit=1&before=${first.before}`);
	expect([...first.entries, ...second.entries]).toEqual((await entries()).slice(0, 2));
	await stack.call("GET", "/v1/audit?before=x", undefined, 400);
	await stack.call("GET", "/v1/audit?limit=0", undefined, 400);
});

test("every route that changes something is one of a change", () => {
	const asked = routes({} as Invocations).filter(({ method, scope }) => method !== "get" && scope !== "none" && scope !== "public");
	const others = asked.filter((route) => !isChange(route)).map(({ method, path }) => `${method} ${path}`);
	expect(others).toEqual([
		"post /v1/functions/{name}/invocations",
		"post /v1/invocations/{id}/cancel",
		"post /v1/invocations/{id}/replay",
		"post /v1/dead-letters/replay",
		"post /v1/invocations/{id}/callback",
		"post /v1/functions/{name}/hooks/{hook}/events/{event}/redeliver",
		"post /v1/functions/{name}/hooks/{hook}/redeliver",
		"post /v1/functions/{name}/schedules/{schedule}/run",
	]);
});
