import type { Schedule, ScheduleInput, ScheduleList, ScheduleRunNow } from "@berth/contracts";
import type { Delivery } from "@berth/queue";
import type { OpenSchedule } from "@berth/registry";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type OwnStack, startOwnStack } from "../testing/own-stack.js";
import { ended } from "../testing/settlements.js";

let stack: OwnStack;
let seen: Delivery[] = [];

beforeAll(async () => {
	stack = await startOwnStack({ shop: {} });
});
afterAll(() => stack?.close());
beforeEach(() => {
	seen = [];
	stack.onInvocation(async (delivery) => {
		seen.push(delivery);
		return ended("succeeded");
	});
});

const call = <Answer = unknown>(method: string, path: string, body?: object, status?: number): Promise<Answer> =>
	stack.call(method, `/v1/functions/shop/schedules${path}`, body, status);
const make = (input: ScheduleInput) => call<Schedule>("POST", "", input, 201);

test("a schedule is made with its defaults, shown with what comes, changed, paused, resumed and removed", async () => {
	const made = await make({ cron: "30 2 * * *", timeZone: "Europe/Berlin", payload: [1, null] });
	expect(made).toMatchObject({
		name: "cron",
		function: "shop",
		alias: "live",
		missed: "one",
		overlap: "skip",
		jitterMs: 0,
		enabled: true,
		state: "waiting",
		payload: [1, null],
		runs: [],
		queued: 0,
	});
	expect(made.next.length).toBe(5);
	expect(await call("GET", "/cron")).toEqual(made);
	expect((await call<ScheduleList>("GET", "")).schedules).toEqual([made]);
	const changed = await call<Schedule>("PATCH", "/cron", { everyMs: 60_000, payload: null, endAt: "2099-01-01T00:00:00Z" });
	expect(changed).toMatchObject({ everyMs: 60_000, payload: null, endAt: "2099-01-01T00:00:00Z", timeZone: "Europe/Berlin" });
	expect(changed.cron).toBeUndefined();
	expect(await call("PATCH", "/cron", { enabled: false })).toMatchObject({ state: "paused", next: [] });
	const resumed = await call<Schedule>("PATCH", "/cron", { enabled: true, endAt: null });
	expect(resumed.endAt).toBeUndefined();
	expect(Date.parse(resumed.next[0] ?? "") - Date.now()).toBeLessThanOrEqual(60_000);
	await call("DELETE", "/cron", undefined, 204);
	await call("GET", "/cron", undefined, 404);
});

test("one of an alias that isn't there is refused, also by a change: its firings would all fail, and nobody looks", async () => {
	const words = "shop has no alias canary; make it first";
	const input = { name: "canary", everyMs: 60_000 };
	expect(await call("POST", "", { ...input, alias: "canary" }, 400)).toMatchObject({ issues: [{ field: "alias", message: words }] });
	await make(input);
	expect(await call("PATCH", "/canary", { alias: "canary" }, 400)).toMatchObject({ issues: [{ field: "alias", message: words }] });
	await stack.call("PUT", "/v1/functions/shop/aliases/canary", { follows: true });
	expect(await call("PATCH", "/canary", { alias: "canary" })).toMatchObject({ alias: "canary" });
	await call("DELETE", "/canary", undefined, 204);
});

test("a change that says nothing of when leaves due what is", async () => {
	const { schedules } = stack.services;
	const dueMs = Date.now() - 60_000;
	const at = new Date(dueMs - 600_000).toISOString();
	const fixed = { function: "shop", alias: "live", missed: "one", overlap: "skip", enabled: true, timeZone: "UTC" } as const;
	const config = { ...fixed, name: "late", everyMs: 600_000, jitterMs: 3_600_000, createdAt: at, updatedAt: at };
	const open = await schedules.make("default", config, { dueMs, firesAtMs: dueMs + 3_600_000 });
	const due = async () => (await schedules.find(open.id))?.dueMs;
	await call("PATCH", "/late", { payload: { n: 2 } });
	expect(await due()).toBe(dueMs);
	// It has fired since it was read: what was due then isn't put back.
	const read = (await schedules.find(open.id)) as OpenSchedule;
	const next = { dueMs: dueMs + 600_000, firesAtMs: dueMs + 600_000 };
	expect(await schedules.claim(read, [], next, undefined, Date.now())).toBe(0);
	expect(await schedules.replace(read, read.config, { dueMs, firesAtMs: dueMs })).toBe(false);
	expect(await due()).toBe(next.dueMs);
	await call("PATCH", "/late", { everyMs: 300_000 });
	expect(await due()).toBeGreaterThan(Date.now());
});

test("by hand under a key it runs once, also when its gateway dies before it answers, or can't write its history", async () => {
	await make({ name: "keyed", at: "2099-01-01T00:00:00Z" });
	const { schedules, idempotency } = stack.services;
	const run = async () =>
		(await (
			await stack.fetch("/v1/functions/shop/schedules/keyed/run", { method: "POST", headers: { "idempotency-key": "run-once" } })
		).json()) as ScheduleRunNow;
	const note = vi.spyOn(schedules, "note").mockRejectedValue(new Error("away"));
	const answer = vi.spyOn(idempotency, "answer").mockRejectedValueOnce(new Error("died"));
	try {
		const { invocation } = await run();
		expect(invocation).toMatch(/^inv_/);
		await expect.poll(() => seen.length).toBe(1);
		await stack.redis.client(async (client) => {
			for (const key of await client.keys("{berth}:idempotency:*"))
				if ((await client.hexists(key, "until")) === 1) await client.hset(key, "until", 0);
		});
		expect(await run()).toEqual({ invocation });
	} finally {
		note.mockRestore();
		answer.mockRestore();
	}
	expect(seen.map(({ request }) => request.id)).toHaveLength(1);
});

test("by hand it runs at once, and what became of it is in its history", async () => {
	await make({ name: "by-hand", at: "2099-01-01T00:00:00Z", payload: { n: 1 } });
	const { invocation } = await call<ScheduleRunNow>("POST", "/by-hand/run", undefined, 202);
	await expect.poll(() => seen.map(({ request }) => request.id)).toEqual([invocation]);
	expect(seen[0]?.request).toMatchObject({ body: { text: '{"n":1}' }, trigger: { schedule: { name: "by-hand", kind: "manual" } } });
	await expect
		.poll(async () => (await call<Schedule>("GET", "/by-hand")).runs)
		.toMatchObject([{ result: "fired", kind: "manual", invocation, state: "settled", outcome: "succeeded" }]);
});

test.each<[object, string, string]>([
	[{}, "cron", "exactly one of cron, everyMs and at"],
	[{ cron: "0 25 * * *" }, "cron", 'Invalid value for hour: 25; "30 2 * * *" is every night at 02:30'],
	[{ cron: "@daily", timeZone: "Mars/Base" }, "timeZone", "Europe/Berlin"],
	[{ cron: "@daily", timeZone: "+02:00" }, "timeZone", "IANA"],
	[{ everyMs: 10 }, "everyMs", "from 1000 to"],
	[{ at: "tomorrow" }, "at", "2026-11-30T02:30:00Z"],
	[{ at: "2020-01-01T00:00:00Z" }, "at", "is over"],
	[{ everyMs: 1000, endAt: "2020-01-01T00:00:00Z" }, "endAt", "doesn't fire"],
	[{ everyMs: 1000, startAt: "2099-01-02T00:00:00Z", endAt: "2099-01-01T00:00:00Z" }, "endAt", "before startAt"],
	[{ everyMs: 1000, missed: "all" }, "missed", "overlap queue"],
	[{ everyMs: 1000, payload: "x".repeat(70_000) }, "payload", "at most 65536 bytes"],
	[{ everyMs: 1000, overlaps: "skip" }, "overlaps", "did you mean overlap?"],
	[{ everyMs: 1000, foo: 1 }, "foo", "there is no such field; the fields are"],
])("%j is refused by its field", async (input, field, message) => {
	const problem = await call<{ code: string; issues: { field: string; message: string }[] }>("POST", "", input, 400);
	expect([problem.code, problem.issues[0]?.field]).toEqual(["invalid_request", field]);
	expect(problem.issues[0]?.message).toContain(message);
});

test("names are of one kind, a function has a hundred, and one that isn't there has none", async () => {
	await stack.deploy("full");
	const on = (name: string, init: object = {}) => stack.fetch(`/v1/functions/${name}/schedules`, init);
	const made = (name: string, schedule: string) =>
		on(name, {
			method: "POST",
			body: JSON.stringify({ name: schedule, everyMs: 60_000 }),
			headers: { "content-type": "application/json" },
		});
	for (let at = 0; at < 100; at++) expect((await made("full", `s${at}`)).status).toBe(201);
	expect(((await (await made("full", "s7")).json()) as { code: string }).code).toBe("schedule_exists");
	expect(await (await made("full", "more")).json()).toMatchObject({ code: "invalid_request", detail: expect.stringContaining("100") });
	expect(await (await on("nobody")).json()).toMatchObject({ code: "function_not_found" });
	expect(await (await made("nobody", "s")).json()).toMatchObject({ code: "function_not_found" });
});
