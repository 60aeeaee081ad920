import { afterAll, beforeAll, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "../testing/own-stack.js";
import { ended } from "../testing/settlements.js";
import { Upkeep } from "../upkeep.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ hello: { background: { attempts: 2, backoffMs: 1, maxAgeMs: 60_000, concurrency: 1 } } });
});
afterAll(() => stack?.close());

const later = { prefer: "respond-async" };
const invoke = (headers: Record<string, string> = later, query = "") =>
	stack.fetch(`/v1/functions/hello/invocations${query}`, { method: "POST", headers });
const post = async (path: string) => await (await stack.fetch(path, { method: "POST" })).json();
const stateOf = async (id: string) => ((await (await stack.fetch(`/v1/invocations/${id}`)).json()) as { state: string }).state;

test("a paused function takes work, shows that it is paused, and runs it when it is resumed", async () => {
	const retries: unknown[] = [];
	stack.onInvocation(async ({ request }) => {
		retries.push(request.retry);
		return ended("succeeded", {}, { body: { text: "" } });
	});
	expect(await post("/v1/functions/hello/pause")).toEqual({ background: { paused: true, waiting: 0, delayed: 0, running: 0 } });
	const { id } = (await (await invoke()).json()) as { id: string };
	expect((await invoke({})).status).toBe(204);
	expect(await (await stack.fetch("/v1/functions/hello")).json()).toMatchObject({ paused: true, background: { paused: true, waiting: 1 } });
	expect(await (await stack.fetch("/v1/functions")).json()).toMatchObject({ functions: [{ name: "hello", paused: true }] });
	expect(await stateOf(id)).toBe("queued");
	expect(await post("/v1/functions/hello/resume")).toMatchObject({ background: { paused: false } });
	await expect.poll(() => stateOf(id)).toBe("settled");
	expect(await (await stack.fetch("/v1/functions")).text()).not.toContain("paused");
	expect(retries).toEqual([undefined, { attempts: 2, backoffMs: 1, maxAgeMs: 60_000 }]);
});

test("a function that is deleted, or was by a gateway that died right after, begins clean when it is deployed again", async () => {
	const kept = () => stack.redis.client((client) => client.keys("berth:q:b-default/brief:*"));
	const { functions } = stack.services;
	await stack.deploy("brief");
	for (const remove of [
		() => stack.fetch("/v1/functions/brief", { method: "DELETE" }),
		() => functions.deleteFunction("default", "brief").then(() => new Upkeep(stack.services).run()),
	]) {
		expect(await post("/v1/functions/brief/pause")).toMatchObject({ background: { paused: true } });
		expect(await kept()).toEqual(["berth:q:b-default/brief:meta"]);
		await remove();
		expect(await kept()).toEqual([]);
		await stack.deploy("brief");
		expect(await (await stack.fetch("/v1/functions/brief")).json()).toMatchObject({ background: { paused: false } });
	}
});

test("there is no function to pause or resume", async () => {
	for (const path of ["/v1/functions/nobody/pause", "/v1/functions/nobody/resume"])
		expect(await post(path)).toMatchObject({ code: "function_not_found" });
	expect(await post("/v1/functions/NOBODY/pause")).toMatchObject({ code: "invalid_name" });
});

test("what waits for a paused function is settled when it is deleted, also when who deleted it got no further than that", async () => {
	await stack.deploy("hasty");
	await post("/v1/functions/hasty/pause");
	const { id } = (await post("/v1/functions/hasty/invocations?mode=async")) as { id: string };
	await stack.services.functions.deleteFunction("default", "hasty");
	expect(await stateOf(id)).toBe("queued");
	expect((await stack.fetch("/v1/functions/hasty", { method: "DELETE" })).status).toBe(404);
	await expect.poll(() => stateOf(id)).toBe("settled");
	expect(await stack.services.invocations.backlog({ project: "default", function: "hasty" })).toMatchObject({ paused: false, waiting: 0 });
});

test("an invocation for later says when, by the header or the query, as a time or in milliseconds", async () => {
	stack.onInvocation(async () => ended("succeeded", {}, { body: { text: "" } }));
	const atMs = Math.floor((Date.now() + 3_600_000) / 1000) * 1000;
	const runAt = new Date(atMs).toISOString();
	for (const asked of [invoke({ ...later, "berth-run-at": runAt }), invoke(later, `?runAt=${atMs}`)]) {
		const answer = await asked;
		expect(answer.status).toBe(202);
		const accepted = (await answer.json()) as { id: string };
		expect(accepted).toMatchObject({ state: "queued", runAt });
		expect(await (await stack.fetch(`/v1/invocations/${accepted.id}`)).json()).toMatchObject({ state: "queued", runAt });
	}
	expect(await (await stack.fetch("/v1/functions/hello")).json()).toMatchObject({ background: { delayed: 2 } });
});

test("a time that is past means now", async () => {
	stack.onInvocation(async () => ended("succeeded", {}, { body: { text: "" } }));
	const accepted = (await (await invoke({ ...later, "berth-run-at": "2001-01-01T00:00:00Z" })).json()) as { id: string };
	expect(accepted).not.toHaveProperty("runAt");
	await expect.poll(() => stateOf(accepted.id)).toBe("settled");
});

test.each([
	["without Prefer: respond-async", {}, "is for background invocations"],
	["that is no time", { ...later, "berth-run-at": "tomorrow" }, "a time with its zone"],
	["without a zone", { ...later, "berth-run-at": "2026-12-24T18:00:00" }, "a time with its zone"],
	["that isn't in the calendar", { ...later, "berth-run-at": "2026-13-45T18:00:00Z" }, "a time with its zone"],
	["beyond 30 days", { ...later, "berth-run-at": String(Date.now() + 31 * 86_400_000) }, "30 days"],
])("a time %s is refused, by name", async (_, headers, why) => {
	const answer = await invoke({ "berth-run-at": "2026-12-24T18:00:00Z", ...headers });
	expect(answer.status).toBe(400);
	expect(await answer.json()).toMatchObject({
		code: "invalid_request",
		issues: [{ field: "berth-run-at", message: expect.stringContaining(why) }],
	});
});

test.each([
	[{ attempts: 21 }, "background.attempts", "from 1 to 20"],
	[{ backoffMs: 0 }, "background.backoffMs", "from 1 to 3600000"],
	[{ maxAgeMs: 604_800_001 }, "background.maxAgeMs", "from 1000 to 604800000"],
	[{ concurrency: 0 }, "background.concurrency", "from 1 to 1000"],
	[{ rate: { limit: 1 } }, "background.rate", ""],
])("a manifest with %o is refused, by name", async (background, field, why) => {
	const body = JSON.stringify({ source: "export default () => 1", background });
	const answer = await stack.fetch("/v1/functions/bad", { method: "PUT", body, headers: { "content-type": "application/json" } });
	expect(answer.status).toBe(400);
	const { issues } = (await answer.json()) as { issues: { field: string; message: string }[] };
	expect(issues[0]?.field).toContain(field);
	expect(issues[0]?.message).toContain(why);
});
