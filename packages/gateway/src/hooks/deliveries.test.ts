import { once } from "node:events";
import type { HookEvent, HookWithSecret } from "@berth/contracts";
import type { Delivery } from "@berth/queue";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { HookShop, settled, signed } from "../testing/hook-shop.js";
import { startOwnStack } from "../testing/own-stack.js";
import { ended } from "../testing/settlements.js";

let shop: HookShop;
beforeAll(async () => {
	shop = await HookShop.open();
});
afterAll(() => shop?.close());
beforeEach(() => shop.begin());

describe("what is let in", () => {
	test("reaches its function with raw body, query and headers, and the answer comes back; the log has it all", async () => {
		const hook = await shop.made();
		const { body, headers } = signed(hook, { body: '{ "n": 1.0 }' });
		const answer = await shop.deliver(
			{ path: `${hook.path}?a=%20b` },
			{ body, headers: { ...headers, "berth-hook": "forged", authorization: "Bearer x" } },
		);
		expect(answer).toMatchObject({ status: 200, text: '{"n":1}' });
		const [{ request }] = shop.seen as [Delivery];
		expect(request).toMatchObject({
			body: { text: '{ "n": 1.0 }' },
			trigger: { kind: "http", request: { method: "POST", url: "/?a=%20b" } },
		});
		const [event] = (await shop.eventsOf(hook)) as [HookEvent];
		const given = request.trigger.kind === "http" ? request.trigger.request.headers : [];
		expect(given.filter(([name]) => name.startsWith("berth-hook"))).toEqual([
			["berth-hook", hook.name],
			["berth-hook-event", event.id],
		]);
		expect(event).toMatchObject({
			result: "answered",
			status: 200,
			event: "push",
			deliveryId: "d1",
			invocation: request.id,
			bodyBytes: 12,
			from: "127.0.0.1",
			query: "?a=%20b",
		});
		expect(event.headers).toContainEqual(["authorization", "[redacted]"]);
		expect(await shop.call("GET", `/${hook.name}/events/${event.id}`)).toMatchObject({ body: { text: '{ "n": 1.0 }' } });
	});

	test("gets its answer when the log can't be told how it ended: a sender that hears of an error has it run again", async () => {
		for (const [status, text] of [
			[200, "done"],
			[500, "wrong"],
		] as const) {
			const hook = await shop.made();
			shop.stack.onInvocation(async () => {
				await shop.stack.redis.client((client) => client.set(`{berth}:hook:${hook.path.slice("/hook/".length)}:log`, "no hash"));
				return settled(status, text);
			});
			expect(await shop.deliver(hook, signed(hook))).toMatchObject({ status, text });
		}
	});

	test("gets the first answer when it comes again, also under another id, and runs once; ten at the same time run once", async () => {
		const hook = await shop.made();
		expect((await shop.deliver(hook, signed(hook))).text).toBe('{"n":1}');
		expect(await shop.deliver(hook, signed(hook))).toMatchObject({ status: 200, text: '{"n":1}' });
		expect(await shop.deliver(hook, signed(hook, { id: "renamed" }))).toMatchObject({ status: 200, text: '{"n":1}' });
		expect(shop.seen).toHaveLength(1);
		const once = signed(hook, { body: "{}", id: "many" });
		const answers = await Promise.all(Array.from({ length: 10 }, () => shop.deliver(hook, once)));
		expect(shop.seen).toHaveLength(2);
		for (const { status, text } of answers) expect([200, 409]).toContain(status === 200 && text !== '{"n":2}' ? text : status);
		const [first] = (await shop.eventsOf(hook, "?result=answered")) as [HookEvent];
		expect((await shop.eventsOf(hook, "?result=duplicate")).filter(({ duplicateOf }) => duplicateOf === first.id)).toHaveLength(9);
	});

	test("is refused while the same is being run, and says when to come again", async () => {
		const hook = await shop.made();
		const running = Promise.withResolvers<void>();
		const began = Promise.withResolvers<void>();
		shop.stack.onInvocation(async () => {
			began.resolve();
			await running.promise;
			return settled(200, "first");
		});
		const first = shop.deliver(hook, signed(hook));
		await began.promise;
		const second = await shop.deliver(hook, signed(hook));
		expect([second.status, JSON.parse(second.text).code, second.headers.get("retry-after")]).toEqual([409, "delivery_running", "5"]);
		running.resolve();
		expect((await first).text).toBe("first");
		expect((await shop.deliver(hook, signed(hook))).text).toBe("first");
	});

	test("runs again when it failed before: that is what its provider tries again for", async () => {
		const hook = await shop.made();
		shop.stack.onInvocation(async () => settled(500, "no"));
		expect((await shop.deliver(hook, signed(hook))).status).toBe(500);
		shop.stack.onInvocation(async () => settled(200, "yes"));
		expect(await shop.deliver(hook, signed(hook))).toMatchObject({ status: 200, text: "yes" });
		expect((await shop.eventsOf(hook)).map(({ result }) => result)).toEqual(["answered", "failed"]);
	});

	test("whose function gives no answer is on record with the status that its sender got instead", async () => {
		const hook = await shop.made();
		shop.stack.onInvocation(async () => ended("timed_out"));
		expect((await shop.deliver(hook, signed(hook))).status).toBe(504);
		expect(await shop.eventsOf(hook)).toMatchObject([{ result: "failed", status: 504, reason: "timed_out" }]);
	});

	test("runs as often as it comes where duplicates do", async () => {
		const hook = await shop.made({ duplicates: "run" });
		await shop.deliver(hook, signed(hook));
		expect((await shop.deliver(hook, signed(hook))).text).toBe('{"n":2}');
	});

	test("is on disk before it is answered in the background, with the status of choice", async () => {
		const hook = await shop.made({ mode: "background", answerStatus: 200 });
		const answer = await shop.deliver(hook, signed(hook));
		expect(answer.status).toBe(200);
		const { event, invocation } = JSON.parse(answer.text) as { event: string; invocation: string };
		await expect.poll(() => shop.seen.map(({ request, lane }) => [request.id, lane])).toEqual([[invocation, "background"]]);
		await expect
			.poll(async () => (await shop.eventsOf(hook))[0])
			.toMatchObject({ id: event, result: "queued", state: "settled", outcome: "succeeded" });
		expect((await shop.deliver(hook, signed(hook))).text).toBe(answer.text);
		const quiet = await shop.made({ mode: "background", answerStatus: 204 });
		expect(await shop.deliver(quiet, signed(quiet))).toMatchObject({ status: 204, text: "" });
		await expect.poll(() => shop.seen.length).toBe(2);
	});

	test("is given up when its provider goes away, and runs when it comes again", async () => {
		const hook = await shop.made();
		const began = Promise.withResolvers<void>();
		shop.stack.onInvocation(async ({ cancelled }) => {
			began.resolve();
			await once(cancelled, "abort");
			return ended("cancelled");
		});
		const gone = new AbortController();
		const first = fetch(shop.stack.url + hook.path, { method: "POST", ...signed(hook), signal: gone.signal }).catch(
			(error: Error) => error.name,
		);
		await began.promise;
		gone.abort();
		expect(await first).toBe("AbortError");
		await expect.poll(async () => (await shop.eventsOf(hook))[0]).toMatchObject({ result: "failed", reason: "cancelled" });
		shop.stack.onInvocation(async () => settled(200, "again"));
		expect((await shop.deliver(hook, signed(hook))).text).toBe("again");
	});

	test("is kept where there is no version to run it, and can be redelivered when there is", async () => {
		const alias = "/v1/functions/shop/aliases/later";
		await shop.stack.call("PUT", alias, { follows: true });
		const hook = await shop.made({ alias: "later" });
		await shop.stack.call("DELETE", alias, undefined, 204);
		expect((await shop.deliver(hook, signed(hook))).status).toBe(404);
		const [failed] = (await shop.eventsOf(hook)) as [HookEvent];
		expect(failed).toMatchObject({ result: "failed", status: 404, reason: expect.stringContaining("alias_not_found") });
		await shop.stack.call("PUT", alias, { follows: true });
		await shop.call("POST", `/${hook.name}/events/${failed.id}/redeliver`, {}, 202);
		await expect.poll(() => shop.seen.length).toBe(1);
		expect((await shop.deliver(hook, signed(hook))).status).toBe(200);
	});

	test("is ignored where the filter doesn't have its event, and answers well", async () => {
		const hook = await shop.made({ events: ["push", "pull_*"] });
		expect(await shop.deliver(hook, signed(hook, { event: "star", id: "a", body: "1" }))).toMatchObject({ status: 200 });
		expect(shop.seen).toHaveLength(0);
		await shop.deliver(hook, signed(hook, { event: "pull_request", id: "b", body: "2" }));
		expect(shop.seen).toHaveLength(1);
		expect((await shop.eventsOf(hook)).map(({ result }) => result)).toEqual(["answered", "filtered"]);
	});

	test("answers Slack's challenge itself, and only to who can sign", async () => {
		const secret = "8f742231b10e8888abcd99yyyzzz85a5";
		const hook = { ...(await shop.made({ scheme: "slack", secret })), secret };
		const body = '{"type":"url_verification","challenge":"3eZbrw1a"}';
		expect(await shop.deliver(hook, signed(hook, { body }))).toMatchObject({ status: 200, text: "3eZbrw1a" });
		const forged = await shop.deliver(hook, signed({ ...hook, secret: "another secret" }, { body }));
		expect([forged.status, forged.text.includes("3eZbrw1a")]).toEqual([401, false]);
		expect(shop.seen).toHaveLength(0);
	});
});

describe("a hook with a rate", () => {
	test("takes so many, then says when to come again, and logs that; who can't sign doesn't use it up", async () => {
		const hook = await shop.made({ rate: { limit: 2, periodMs: 60_000 } });
		for (let n = 0; n < 5; n++) expect((await shop.deliver(hook, { body: "{}" })).status).toBe(401);
		for (const id of ["a", "b"]) expect((await shop.deliver(hook, signed(hook, { id, body: `{"id":"${id}"}` }))).status).toBe(200);
		const third = signed(hook, { id: "c", body: '{"id":"c"}' });
		// What was let in already gets its first answer, however often it comes.
		for (const id of ["a", "b"]) expect((await shop.deliver(hook, signed(hook, { id, body: `{"id":"${id}"}` }))).status).toBe(200);
		const limited = await shop.deliver(hook, third);
		for (let n = 0; n < 3; n++) await shop.deliver(hook, third);
		expect(await shop.eventsOf(hook, "?result=limited")).toHaveLength(4);
		expect([limited.status, JSON.parse(limited.text).code]).toEqual([429, "hook_limited"]);
		const retryAfter = Number(limited.headers.get("retry-after"));
		expect(retryAfter).toBeGreaterThan(1);
		expect(retryAfter).toBeLessThanOrEqual(60);
		expect(shop.seen).toHaveLength(2);
		await shop.call("PATCH", `/${hook.name}`, { rate: null });
		expect((await shop.deliver(hook, third)).status).toBe(200);
		const wrong = (await shop.call("PATCH", `/${hook.name}`, { rate: { limit: 0, periodMs: 60_000 } }, 400)) as { issues: object[] };
		expect(wrong.issues).toMatchObject([{ field: "rate.limit" }]);
	});
});

test("what its project asks for beyond its part of a gateway that is behind is refused before it is read, and in the hook's log as limited", async () => {
	const watch = { seen: () => ({ elapsedMs: 200, lateMs: 10, busy: 1 }), measure: () => undefined, close: () => undefined };
	await using behind = await HookShop.open({ watch });
	behind.begin();
	const hook = await behind.made();
	const { pacing, metrics } = behind.stack.services;
	expect((await behind.deliver(hook, signed(hook))).status).toBe(200);
	const take = (project: string, turns: number) => {
		for (let turn = 0; turn < turns; turn++) pacing.take(project)?.catch(() => undefined);
	};
	let ticks = 0;
	// Every turn that there is again is taken before a delivery comes in; and another one, for whose sake that is refused, asks for few.
	const flooding = setInterval(() => {
		take("default", 20);
		if (ticks++ % 10 === 0) take("beside", 5);
	}, 5);
	let answer: Awaited<ReturnType<HookShop["deliver"]>>;
	try {
		do answer = await behind.deliver(hook, { body: "from anybody" });
		while (answer.status === 401);
	} finally {
		clearInterval(flooding);
	}
	expect([answer.status, JSON.parse(answer.text).code]).toEqual([429, "too_busy"]);
	// Who asks is of the same project, and held up as well for a while.
	const limited = () => behind.eventsOf(hook, "?result=limited").catch(() => []);
	await expect.poll(limited, { timeout: 15_000 }).not.toEqual([]);
	for (const event of await limited()) expect(event).toMatchObject({ result: "limited", status: 429, bodyBytes: 0 });
	expect(await metrics.registry.metrics()).toMatch(/berth_hook_deliveries_total\{result="limited"\} [1-9]/);
});

test("repetitions take nothing of a hook's rate, also those that come at the same time", async () => {
	const hook = await shop.made({ rate: { limit: 2, periodMs: 60_000 } });
	const first = signed(hook, { id: "a", body: '{"id":"a"}' });
	await Promise.all(Array.from({ length: 10 }, () => shop.deliver(hook, first)));
	expect((await shop.deliver(hook, first)).status).toBe(200);
	expect((await shop.deliver(hook, signed(hook, { id: "b", body: '{"id":"b"}' }))).status).toBe(200);
	expect((await shop.deliver(hook, signed(hook, { id: "c", body: '{"id":"c"}' }))).status).toBe(429);
	expect(shop.seen).toHaveLength(2);
});

describe("behind a proxy", () => {
	test("that is trusted the caller is who it says, right-most; of another one the header is nobody's word", async () => {
		{
			await using behind = await startOwnStack({ shop: {} }, { trustedProxies: ["127.0.0.1", "10.0.0.0/8"] });
			behind.onInvocation(async ({ request }) => settled(200, JSON.stringify(request.trigger)));
			const input = { scheme: "none", mode: "sync", allow: ["192.0.2.0/24"], duplicates: "run" };
			const { path } = await behind.call<HookWithSecret>("POST", "/v1/functions/shop/hooks", input, 201);
			const from = (chain: string) => fetch(behind.url + path, { method: "POST", body: "{}", headers: { "x-forwarded-for": chain } });
			const good = await from("203.0.113.9, 192.0.2.7, 10.1.2.3");
			expect(good.status).toBe(200);
			expect(JSON.stringify(await good.json())).toContain('["x-forwarded-for","203.0.113.9, 192.0.2.7"]');
			for (const chain of ["192.0.2.7, 203.0.113.9", "192.0.2.7, nonsense", "10.1.2.3"]) expect((await from(chain)).status).toBe(401);
		}
		const hook = await shop.made({ scheme: "none", allow: ["192.0.2.0/24"] });
		expect((await shop.deliver(hook, { body: "{}", headers: { "x-forwarded-for": "192.0.2.7" } })).status).toBe(401);
	});
});
