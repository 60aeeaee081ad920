import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type InvocationAnswer, type InvocationList, newId, type ReplayAnswer } from "@berth/contracts";
import { openInvocationQueue } from "@berth/queue";
import { FUNCTION_RECORDS } from "@berth/registry";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { acceptedOf } from "./accepted.js";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { ended } from "./testing/settlements.js";

let stack: OwnStack;
const background = { attempts: 2, backoffMs: 1 };
beforeAll(async () => {
	stack = await startOwnStack({ hello: { background }, other: { background } });
});
afterAll(() => stack?.close());
beforeEach(() => stack.onInvocation(async () => ended("succeeded", {}, { body: { text: "[1]" }, contentType: "application/json" })));

async function json<Answer = Record<string, unknown>>(path: string, init?: RequestInit): Promise<Answer> {
	return (await (await stack.fetch(path, init)).json()) as Answer;
}
const post = (path: string) => stack.fetch(path, { method: "POST" });
async function later(body: NonNullable<RequestInit["body"]> = "{}", name = "hello"): Promise<string> {
	const answer = await stack.fetch(`/v1/functions/${name}/invocations?mode=async`, { method: "POST", body });
	expect(answer.status).toBe(202);
	return ((await answer.json()) as { id: string }).id;
}
const settled = (id: string) => json<InvocationAnswer>(`/v1/invocations/${id}?wait=30s`);
const files = (store: string) => readdirSync(join(stack.directory, store));

/** Functions that begin and wait for what ends them. */
function held() {
	const [began, end] = [Promise.withResolvers<string>(), Promise.withResolvers<void>()];
	stack.onInvocation(async ({ request, cancelled }) => {
		began.resolve(request.id);
		await Promise.race([end.promise, new Promise((resolve) => cancelled.addEventListener("abort", resolve))]);
		return cancelled.aborted ? ended("cancelled") : ended("succeeded", {}, { body: { text: "1" } });
	});
	return { began: began.promise, end: end.resolve };
}

describe("a request for the background", () => {
	test.each([
		["?mode=async", {}, 202],
		["", { prefer: "respond-async" }, 202],
		["?mode=sync", { prefer: "respond-async" }, 400],
	])("%s with %j is %d", async (query, headers, status) => {
		expect((await stack.fetch(`/v1/functions/hello/invocations${query}`, { method: "POST", headers })).status).toBe(status);
	});

	test("in a mode that isn't one, or of a function that isn't there, is refused at once", async () => {
		for (const [query, words] of [
			["mode=async&mode=sync", "mode: it is there more than once; say it once"],
			["runAt=5&mode=sync", "runAt: is for background invocations: leave it out, or say mode=async instead of mode=sync"],
			["runAt=5", "runAt: is for background invocations: send Prefer: respond-async, too"],
		] as const) {
			const strange = await post(`/v1/functions/hello/invocations?${query}`);
			expect([query, strange.status, ((await strange.json()) as { detail: string }).detail]).toEqual([query, 400, words]);
		}
		const wrong = await post("/v1/functions/hello/invocations?mode=later");
		expect([wrong.status, await wrong.json()]).toMatchObject([400, { issues: [{ field: "mode", message: "one of async, sync" }] }]);
		expect((await post("/v1/functions/nobody/invocations?mode=async")).status).toBe(404);
	});
});

describe("a wait", () => {
	test("ends when the invocation does", async () => {
		const { began, end } = held();
		const id = await later();
		await began;
		const waiting = settled(id);
		end();
		expect(await waiting).toMatchObject({ state: "settled", outcome: "succeeded", source: "api", attemptCount: 1 });
	});

	test("that is over before gives the record as it is", async () => {
		const { began, end } = held();
		const id = await later();
		await began;
		expect(await json(`/v1/invocations/${id}?wait=1ms`)).toMatchObject({ state: "running", attempt: 1, attempts: [] });
		end();
	});

	test.each(["61s", "2m", "-1", "soon", "1h"])("of %s is refused", async (wait) => {
		const answer = await stack.fetch(`/v1/invocations/inv_${"0".repeat(26)}?wait=${wait}`);
		expect([answer.status, await answer.json()]).toMatchObject([400, { code: "invalid_request", issues: [{ field: "wait" }] }]);
	});

	test("of many costs no connection of their own", async () => {
		const { began, end } = held();
		const id = await later();
		await began;
		const clients = () => stack.redis.client(async (one) => ((await one.client("LIST")) as string).split("\n").length);
		const followed = () => stack.redis.client(async (one) => ((await one.pubsub("CHANNELS", `*${id}`)) as string[]).length);
		const before = await clients();
		const waiting = Array.from({ length: 200 }, () => settled(id));
		await expect.poll(followed).toBe(1);
		expect(await clients()).toBe(before);
		end();
		expect((await Promise.all(waiting)).every(({ state }) => state === "settled")).toBe(true);
		await expect.poll(followed).toBe(0);
	});
});

describe("the events of an invocation", () => {
	async function eventsOf(id: string, headers: Record<string, string> = {}) {
		const text = await (await stack.fetch(`/v1/invocations/${id}/events`, { headers })).text();
		return text
			.trim()
			.split("\n\n")
			.map((frame) => Object.fromEntries(frame.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string])));
	}

	test("are what happened and what happens, until its end", async () => {
		const { began, end } = held();
		const id = await later();
		await began;
		const events = eventsOf(id);
		end();
		const seen = (await events).map(({ id: at, event, data }) => [at, event, JSON.parse(data as string)]);
		expect(seen).toMatchObject([
			["0", "state", { state: "queued" }],
			["1", "state", { state: "running", attempt: 1 }],
			["2", "attempt", { attempt: 1, outcome: "succeeded" }],
			[undefined, "end", { id, state: "settled", outcome: "succeeded" }],
		]);
		expect((await eventsOf(id, { "last-event-id": "1" })).map(({ event }) => event)).toEqual(["attempt", "end"]);
	});

	test("of another project, or of none, are 404", async () => {
		const missing = await stack.fetch(`/v1/invocations/inv_${"0".repeat(26)}/events`);
		expect([missing.status, ((await missing.json()) as { detail: string }).detail]).toEqual([
			404,
			expect.stringContaining("where the durable Redis is three quarters full"),
		]);
	});
});

test("each attempt has its own log", async () => {
	stack.onInvocation(async ({ attempt }) => ({
		...ended(attempt === 1 ? "handler_error" : "succeeded", { attempt, error: { name: "Error", message: `no ${attempt}` } }),
		logs: { lines: [{ atMs: 1, stream: "stdout", text: `try ${attempt}` }], truncated: false },
	}));
	const id = await later();
	expect(await settled(id)).toMatchObject({
		logs: [{ text: "try 2" }],
		attempts: [{ outcome: "handler_error" }, { outcome: "succeeded" }],
	});
	expect(await json(`/v1/invocations/${id}/attempts/1`)).toMatchObject({ error: { message: "no 1" }, logs: [{ text: "try 1" }] });
	expect((await stack.fetch(`/v1/invocations/${id}/attempts/3`)).status).toBe(404);
});

describe("a list", () => {
	test("has cursors and filters, and says which of them is wrong", async () => {
		const ids = [await later(), await later(), await later("{}", "other")];
		for (const id of ids) await settled(id);
		const first = await json<InvocationList>("/v1/invocations?limit=2");
		expect(first.invocations.map(({ id }) => id)).toEqual([ids[2], ids[1]]);
		const next = await json<InvocationList>(`/v1/invocations?limit=1&cursor=${first.cursor}`);
		expect(next.invocations).toMatchObject([{ id: ids[0], function: "hello", outcome: "succeeded", lane: "background" }]);
		const other = await json<InvocationList>("/v1/invocations?function=other&state=settled&outcome=succeeded&since=2026-01-01T00:00:00Z");
		expect(other.invocations.map(({ id }) => id)).toEqual([ids[2]]);
	});

	test("of a function that isn't there is 404, as its logs are; also what would be done with its dead letters", async () => {
		for (const [method, path] of [
			["GET", "invocations?function=nope"],
			["POST", "dead-letters/replay?function=nope"],
			["DELETE", "dead-letters?function=nope"],
		] as const) {
			const answer = await stack.fetch(`/v1/${path}`, { method });
			expect([path, answer.status, await answer.json()]).toMatchObject([path, 404, { code: "function_not_found" }]);
		}
		expect(await json("/v1/invocations?function=other&dead=true")).toMatchObject({ invocations: [] });
	});

	test.each([
		["state=done", "state"],
		["outcome=fine", "outcome"],
		["since=yesterday", "since"],
		["until=2026-13-01T00:00:00Z", "until"],
		["limit=0", "limit"],
		["limit=201", "limit"],
		["dead=yes", "dead"],
		["cursor=1", "cursor"],
		["function=No", "function"],
	])("with %s is refused", async (query, field) => {
		const answer = await stack.fetch(`/v1/invocations?${query}`);
		expect([answer.status, await answer.json()]).toMatchObject([400, { issues: [{ field }] }]);
	});
});

describe("a cancellation", () => {
	test("of what runs is 202, tells the function, and settles it; again it changes nothing", async () => {
		const { began } = held();
		const id = await later();
		await began;
		const answer = await post(`/v1/invocations/${id}/cancel`);
		expect([answer.status, await answer.json()]).toMatchObject([202, { state: "running", cancelAskedAt: expect.any(String) }]);
		expect(await settled(id)).toMatchObject({ state: "settled", outcome: "cancelled", code: "cancelled" });
		const again = await post(`/v1/invocations/${id}/cancel`);
		expect([again.status, await again.json()]).toMatchObject([200, { outcome: "cancelled" }]);
	});

	test("of one that somebody waits for ends it for them", async () => {
		const { began } = held();
		const waiting = stack.fetch("/v1/functions/hello/invocations", { method: "POST" });
		const id = await began;
		expect((await post(`/v1/invocations/${id}/cancel`)).status).toBe(202);
		expect((await waiting).status).toBe(499);
		expect(await json(`/v1/invocations/${id}`)).toMatchObject({
			lane: "interactive",
			outcome: "cancelled",
			startedAt: expect.any(String),
			attempts: [{}],
		});
	});

	test("of one that is waited for at another gateway ends it there", async () => {
		const { began } = held();
		const urls = { durableUrl: stack.redis.url, fastUrl: stack.redis.url };
		const elsewhere = await openInvocationQueue({ ...urls, gatewayId: newId("gw"), functionRecords: FUNCTION_RECORDS });
		try {
			const version = await stack.services.functions.resolve("default", "hello");
			const request = acceptedOf(version, { trigger: { kind: "event" } }, { text: "" }, stack.services);
			const waiting = elsewhere.run(stack.services.nodes.nodes()[0]?.id ?? "", request);
			await began;
			const answer = await post(`/v1/invocations/${request.id}/cancel`);
			expect([answer.status, await answer.json()]).toEqual([202, { id: request.id, state: "running" }]);
			expect(await waiting).toMatchObject({ attempt: { outcome: "cancelled" } });
			expect((await post(`/v1/invocations/${request.id}/cancel`)).status).toBe(200);
		} finally {
			await elsewhere.close();
		}
	});

	test("of what nobody knows is 404", async () => {
		expect((await post(`/v1/invocations/inv_${"0".repeat(26)}/cancel`)).status).toBe(404);
	});
});

describe("a replay", () => {
	test("runs the same payload as a new invocation, however large it was", async () => {
		const seen: Buffer[] = [];
		stack.onInvocation(async ({ request }) => {
			const { queued } = stack.services.artifacts;
			seen.push(await queued.getBody(request.body));
			return ended("succeeded", {}, { body: { text: "1" } });
		});
		for (const bytes of [10, 100_000]) {
			const body = Buffer.alloc(bytes, "1");
			const id = await later(body);
			await settled(id);
			const answer = await post(`/v1/invocations/${id}/replay`);
			const replay = (await answer.json()) as ReplayAnswer;
			expect([answer.status, answer.headers.get("location")]).toEqual([202, `/v1/invocations/${replay.id}`]);
			expect(await settled(replay.id)).toMatchObject({ replayOf: id, source: "replay", outcome: "succeeded" });
			expect(seen.splice(0).map((one) => one.equals(body))).toEqual([true, true]);
		}
		await expect.poll(() => files("queued")).toEqual([]);
	});

	test("takes the version of then, or the one of now", async () => {
		const id = await later();
		await settled(id);
		await stack.deploy("hello", { source: "export default () => 2", background });
		const { version } = await settled(id);
		expect(await json(`/v1/invocations/${id}/replay`, { method: "POST" })).toMatchObject({ version });
		expect(await json(`/v1/invocations/${id}/replay?version=latest`, { method: "POST" })).toMatchObject({ version: version + 1 });
		expect((await post(`/v1/invocations/${id}/replay?version=2`)).status).toBe(400);
	});

	test("is refused with the reason while it runs, when its payload is gone, and of what somebody waited for", async () => {
		const { began, end } = held();
		const id = await later(Buffer.alloc(100_000, "1"));
		await began;
		const early = await post(`/v1/invocations/${id}/replay`);
		expect([early.status, await early.json()]).toMatchObject([409, { code: "invocation_unsettled" }]);
		end();
		await settled(id);
		for (const key of files("requests")) await stack.services.artifacts.requests.remove(key);
		const gone = await post(`/v1/invocations/${id}/replay`);
		expect([gone.status, await gone.json()]).toMatchObject([
			410,
			{ code: "payload_gone", detail: expect.stringContaining("BERTH_REQUESTS_MIB") },
		]);
		const waited = await stack.fetch("/v1/functions/hello/invocations", { method: "POST" });
		expect((await post(`/v1/invocations/${waited.headers.get("berth-invocation-id")}/replay`)).status).toBe(410);
	});
});

describe("dead letters", () => {
	async function deadLetters(count: number, name: string): Promise<string[]> {
		stack.onInvocation(async ({ attempt }) => ended("crashed", { attempt }));
		const ids: string[] = [];
		for (let at = 0; at < count; at++) ids.push(await later(Buffer.alloc(5000, "1"), name));
		for (const id of ids) expect(await settled(id)).toMatchObject({ outcome: "crashed", dead: true, attemptCount: 2 });
		return ids;
	}
	const listed = async (name: string) =>
		(await json<InvocationList>(`/v1/invocations?dead=true&function=${name}`)).invocations.map(({ id }) => id);

	test("are replayed a page at a time, once each", async () => {
		await stack.deploy("broken", { background });
		const ids = await deadLetters(3, "broken");
		expect(await listed("broken")).toEqual(ids.toReversed());
		stack.onInvocation(async () => ended("succeeded", {}, { body: { text: "1" } }));
		const first = await json(`/v1/dead-letters/replay?function=broken&limit=2`, { method: "POST" });
		expect(first).toMatchObject({ replayed: [{ replayOf: ids[2] }, { replayOf: ids[1] }], skipped: [] });
		const rest = await json<{ replayed: ReplayAnswer[] }>("/v1/dead-letters/replay?function=broken", { method: "POST" });
		expect(rest.replayed).toMatchObject([{ replayOf: ids[0] }]);
		expect(await settled(rest.replayed[0]?.id as string)).toMatchObject({ outcome: "succeeded" });
		expect(await listed("broken")).toEqual([]);
		expect(await json(`/v1/invocations/${ids[0]}`)).toMatchObject({ replayedAs: rest.replayed[0]?.id });
	});

	test("run once, whoever asks how often, one at a time and all at once", async () => {
		await stack.deploy("asked", { background });
		const ids = await deadLetters(5, "asked");
		const runs: string[] = [];
		stack.onInvocation(async ({ request }) => {
			runs.push(request.id);
			return ended("succeeded", {}, { body: { text: "1" } });
		});
		const first = await post(`/v1/invocations/${ids[0]}/replay`);
		const { id } = (await first.json()) as ReplayAnswer;
		await settled(id);
		const again = await post(`/v1/invocations/${ids[0]}/replay`);
		expect([first.status, again.status, await again.json()]).toMatchObject([202, 200, { id, state: "settled", replayOf: ids[0] }]);
		const all = () => json<{ replayed: ReplayAnswer[] }>("/v1/dead-letters/replay?function=asked", { method: "POST" });
		const done = (await Promise.all([all(), all(), all()])).flatMap(({ replayed }) => replayed);
		const invocations = new Set(done.map((one) => one.id));
		expect(new Set(done.map(({ replayOf }) => replayOf))).toEqual(new Set(ids.slice(1)));
		expect(invocations.size).toBe(4);
		for (const one of invocations) await settled(one);
		expect(runs.toSorted()).toEqual([id, ...invocations].sort());
		// What is no dead letter runs as often as it is asked for.
		const more = [await json<ReplayAnswer>(`/v1/invocations/${id}/replay`, { method: "POST" })];
		more.push(await json<ReplayAnswer>(`/v1/invocations/${id}/replay`, { method: "POST" }));
		for (const one of more) await settled(one.id);
		expect(new Set(runs).size).toBe(7);
	});

	test("that can't be replayed stay, with the reason", async () => {
		await stack.deploy("doomed", { background });
		const [id] = await deadLetters(1, "doomed");
		for (const key of files("requests")) await stack.services.artifacts.requests.remove(key);
		const answer = await json("/v1/dead-letters/replay?function=doomed", { method: "POST" });
		expect(answer).toMatchObject({ replayed: [], skipped: [{ id, code: "payload_gone" }] });
		expect(await listed("doomed")).toEqual([id]);
	});

	test("are purged, one or all of a function, with what they held", async () => {
		await stack.deploy("spoilt", { background });
		const ids = await deadLetters(3, "spoilt");
		expect((await stack.fetch(`/v1/dead-letters/${ids[0]}`, { method: "DELETE" })).status).toBe(204);
		expect((await stack.fetch(`/v1/dead-letters/${ids[0]}`, { method: "DELETE" })).status).toBe(404);
		expect((await stack.fetch(`/v1/invocations/${ids[0]}`)).status).toBe(404);
		const before = files("requests").length;
		expect(await json("/v1/dead-letters?function=spoilt", { method: "DELETE" })).toEqual({ purged: 2 });
		expect(files("requests")).toHaveLength(before - 2);
		expect(await listed("spoilt")).toEqual([]);
	});
});
