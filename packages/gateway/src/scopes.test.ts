import { allows, type NewApiKey, SCOPES, type Scope } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Invocations } from "./invocations.js";
import { routes } from "./routes.js";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { mirror } from "./testing/settlements.js";

let stack: OwnStack;
const keyOf = new Map<Scope, string>();
beforeAll(async () => {
	stack = await startOwnStack({ hello: {} });
	stack.onInvocation(mirror);
	for (const scope of SCOPES) keyOf.set(scope, (await made({ name: scope, scopes: [scope] })).key);
});
afterAll(() => stack?.close());

async function made(input: object): Promise<NewApiKey> {
	const answer = await post("/v1/keys", input);
	expect(answer.status).toBe(201);
	return (await answer.json()) as NewApiKey;
}

const post = (path: string, body: object, headers: Record<string, string> = {}) =>
	stack.fetch(path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } });

const as = (scope: Scope, path: string, method = "GET") =>
	fetch(stack.url + path, { method, headers: { authorization: `Bearer ${keyOf.get(scope)}` } });

/** Of things that aren't there, so that no request does anything. */
const pathOf = (path: string) =>
	path
		.replace("{number}", "1")
		.replace("{id}", "nothere")
		.replace(/\{\w+\}/g, "nothere");

const guarded = routes({} as Invocations).filter(({ scope }) => scope !== "none" && scope !== "public");

describe("a key gets what its scopes allow", () => {
	test.each(guarded.map(({ method, path, scope }) => [method.toUpperCase(), path, scope] as const))(
		"%s %s",
		async (method, path, wanted) => {
			for (const scope of SCOPES) {
				const answer = await as(scope, pathOf(path), method);
				const isOperators = wanted === "operator" || wanted === "metrics";
				const isAllowed = !isOperators && allows([scope], wanted as Scope);
				expect([scope, answer.status === 403]).toEqual([scope, !isAllowed]);
				// A stream that was let in is left.
				if (isAllowed) await answer.body?.cancel();
				else
					expect(await answer.json()).toMatchObject({
						code: "forbidden",
						scope: isOperators ? "operator" : wanted,
						detail: expect.stringContaining(scope),
					});
			}
		},
	);

	test("at a function's own URL", async () => {
		expect((await as("invoke", "/fn/default/hello")).status).toBe(200);
		const refused = await as("deploy", "/fn/default/hello");
		expect([refused.status, await refused.json()]).toEqual([403, expect.objectContaining({ code: "forbidden", scope: "invoke" })]);
		// Whether the function is there, it isn't told.
		expect((await as("deploy", "/fn/default/nothere")).status).toBe(403);
	});

	test("and of what it cancels no more than its state, unless it may read", async () => {
		const { id } = await stack.call<{ id: string }>("POST", "/v1/functions/hello/invocations?mode=async", {}, 202);
		await stack.call("GET", `/v1/invocations/${id}?wait=30s`);
		const cancelled = async (scope: Scope, headers: Record<string, string> = {}) => {
			const init = { method: "POST", headers: { authorization: `Bearer ${keyOf.get(scope)}`, ...headers } };
			const answer = await fetch(`${stack.url}/v1/invocations/${id}/cancel`, init);
			return [answer.status, await answer.json()];
		};
		expect(await cancelled("invoke")).toEqual([200, { id, state: "settled" }]);
		const key = { "idempotency-key": "cancelled" };
		expect(await cancelled("admin", key)).toMatchObject([200, { id, state: "settled", result: {}, logs: [] }]);
		// Nor does it get what another key was answered.
		expect(await cancelled("invoke", key)).toMatchObject([422, { code: "idempotency_mismatch" }]);
	});

	test("and the floor of prewarmed sandboxes is the operator's", async () => {
		const command = JSON.stringify({ kind: "prewarm", floor: 1 });
		const headers = { authorization: `Bearer ${keyOf.get("admin")}`, "content-type": "application/json" };
		const answer = await fetch(`${stack.url}/v1/nodes/commands`, { method: "POST", body: command, headers });
		expect([answer.status, await answer.json()]).toEqual([403, expect.objectContaining({ scope: "operator" })]);
	});
});

test("a key is shown once, listed without it, and nothing once it is revoked", async () => {
	const { key, ...rest } = await made({ name: "once", scopes: ["read"], expiresInMs: 3_600_000 });
	const { keys } = (await (await stack.fetch("/v1/keys")).json()) as { keys: object[] };
	expect(keys).toContainEqual(rest);
	expect(JSON.stringify(keys)).not.toContain(key);
	const asked = () => fetch(`${stack.url}/v1/functions`, { headers: { authorization: `Bearer ${key}` } });
	expect((await asked()).status).toBe(200);
	expect((await stack.fetch("/v1/keys/once", { method: "DELETE" })).status).toBe(204);
	expect((await asked()).status).toBe(401);
	expect((await stack.fetch("/v1/keys/once", { method: "DELETE" })).status).toBe(404);
});

test.each([
	[{ scopes: ["read"] }, "name"],
	[{ name: "Ci", scopes: ["read"] }, "name"],
	[{ name: "x", scopes: [] }, "scopes"],
	[{ name: "x", scopes: ["write"] }, "scopes.0"],
	[{ name: "x", scopes: "read" }, "scopes"],
	[{ name: "x", scopes: ["read"], expiresInMs: 1 }, "expiresInMs"],
	[{ name: "x", scopes: ["read"], ratePerSecond: 0 }, "ratePerSecond"],
	[{ name: "x", scopes: ["read"], project: "other" }, "project"],
])("%j is refused, by its field", async (body, field) => {
	const answer = await post("/v1/keys", body);
	expect([answer.status, await answer.json()]).toEqual([400, expect.objectContaining({ issues: [expect.objectContaining({ field })] })]);
});

test("an idempotency key isn't taken for one, as its answer would be stored with the key in it", async () => {
	const answer = await post("/v1/keys", { name: "twice", scopes: ["read"] }, { "idempotency-key": "a" });
	expect([answer.status, await answer.json()]).toEqual([400, expect.objectContaining({ code: "invalid_request" })]);
	expect((await post("/v1/keys", { name: "once-more", scopes: ["read"] })).status).toBe(201);
	expect((await post("/v1/keys", { name: "once-more", scopes: ["read"] })).status).toBe(409);
});
