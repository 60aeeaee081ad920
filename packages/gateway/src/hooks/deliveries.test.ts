import { once } from "node:events";
import { connect } from "node:net";
import {
	type HookEvent,
	type HookEventDetail,
	type HookInput,
	type HookWithSecret,
	newId,
	type Settlement,
	schemeOf,
} from "@berth/contracts";
import type { Delivery } from "@berth/queue";
import { RedisServer } from "@berth/redis/testing";
import type { StoredEvent } from "@berth/registry";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ended } from "../testing/settlements.js";
import { type Stack, startStack } from "../testing/stack.js";

let redis: RedisServer;
let stack: Stack;
/** What reached the function. */
let seen: Delivery[] = [];

beforeAll(async () => {
	redis = await RedisServer.start();
	stack = await startStack(redis.url);
	await stack.deploy("shop");
});
afterAll(async () => {
	await stack?.close();
	await redis?.[Symbol.asyncDispose]();
});
beforeEach(() => {
	seen = [];
	stack.onInvocation(async (delivery) => {
		seen.push(delivery);
		return settled(200, `{"n":${seen.length}}`);
	});
});

function settled(status: number, text: string): Settlement {
	return ended("succeeded", {}, { body: { text }, response: { status, headers: [["content-type", "application/json"]] } });
}

async function call(method: string, path: string, body?: object, wanted = 200): Promise<unknown> {
	const answer = await stack.fetch(`/v1/functions/shop/hooks${path}`, {
		method,
		...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
	});
	const text = await answer.text();
	expect([answer.status, text]).toEqual([wanted, text]);
	return text === "" ? undefined : JSON.parse(text);
}

let count = 0;
async function made(input: Partial<HookInput> = {}): Promise<HookWithSecret> {
	return (await call("POST", "", { scheme: "github", mode: "sync", name: `hook-${count++}`, ...input }, 201)) as HookWithSecret;
}

const eventsOf = async ({ name }: HookWithSecret, query = "") =>
	((await call("GET", `/${name}/events${query}`)) as { events: HookEvent[] }).events;

/** A delivery as GitHub's. */
function signed(hook: HookWithSecret, { body = '{"n":1}', id = "d1", event = "push" } = {}) {
	const message = { body: Buffer.from(body), id, event, atMs: Date.now() };
	return { body, headers: Object.fromEntries(schemeOf(hook.scheme).sign(message, hook.secret ?? "", hook.settings)) };
}

async function deliver(hook: { readonly path: string }, init: { body?: string; headers?: Record<string, string>; method?: string }) {
	const answer = await fetch(stack.url + hook.path, { method: "POST", ...init });
	return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

describe("what is let in", () => {
	test("reaches its function with raw body, query and headers, and the answer comes back; the log has it all", async () => {
		const hook = await made();
		const { body, headers } = signed(hook, { body: '{ "n": 1.0 }' });
		const answer = await deliver(
			{ path: `${hook.path}?a=%20b` },
			{ body, headers: { ...headers, "berth-hook": "forged", authorization: "Bearer x" } },
		);
		expect(answer).toMatchObject({ status: 200, text: '{"n":1}' });
		const [{ request }] = seen as [Delivery];
		expect(request).toMatchObject({
			body: { text: '{ "n": 1.0 }' },
			trigger: { kind: "http", request: { method: "POST", url: "/?a=%20b" } },
		});
		const [event] = (await eventsOf(hook)) as [HookEvent];
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
		expect(await call("GET", `/${hook.name}/events/${event.id}`)).toMatchObject({ body: { text: '{ "n": 1.0 }' } });
	});

	test("gets its answer when the log can't be told how it ended: a sender that hears of an error has it run again", async () => {
		for (const [status, text] of [
			[200, "done"],
			[500, "wrong"],
		] as const) {
			const hook = await made();
			stack.onInvocation(async () => {
				await redis.client((client) => client.set(`{berth}:hook:${hook.path.slice("/hook/".length)}:log`, "no hash"));
				return settled(status, text);
			});
			expect(await deliver(hook, signed(hook))).toMatchObject({ status, text });
		}
	});

	test("gets the first answer when it comes again, also under another id, and runs once; ten at the same time run once", async () => {
		const hook = await made();
		expect((await deliver(hook, signed(hook))).text).toBe('{"n":1}');
		expect(await deliver(hook, signed(hook))).toMatchObject({ status: 200, text: '{"n":1}' });
		expect(await deliver(hook, signed(hook, { id: "renamed" }))).toMatchObject({ status: 200, text: '{"n":1}' });
		expect(seen).toHaveLength(1);
		const once = signed(hook, { body: "{}", id: "many" });
		const answers = await Promise.all(Array.from({ length: 10 }, () => deliver(hook, once)));
		expect(seen).toHaveLength(2);
		for (const { status, text } of answers) expect([200, 409]).toContain(status === 200 && text !== '{"n":2}' ? text : status);
		const [first] = (await eventsOf(hook, "?result=answered")) as [HookEvent];
		expect((await eventsOf(hook, "?result=duplicate")).filter(({ duplicateOf }) => duplicateOf === first.id)).toHaveLength(9);
	});

	test("is refused while the same is being run, and says when to come again", async () => {
		const hook = await made();
		const running = Promise.withResolvers<void>();
		const began = Promise.withResolvers<void>();
		stack.onInvocation(async () => {
			began.resolve();
			await running.promise;
			return settled(200, "first");
		});
		const first = deliver(hook, signed(hook));
		await began.promise;
		const second = await deliver(hook, signed(hook));
		expect([second.status, JSON.parse(second.text).code, second.headers.get("retry-after")]).toEqual([409, "delivery_running", "5"]);
		running.resolve();
		expect((await first).text).toBe("first");
		expect((await deliver(hook, signed(hook))).text).toBe("first");
	});

	test("runs again when it failed before: that is what its provider tries again for", async () => {
		const hook = await made();
		stack.onInvocation(async () => settled(500, "no"));
		expect((await deliver(hook, signed(hook))).status).toBe(500);
		stack.onInvocation(async () => settled(200, "yes"));
		expect(await deliver(hook, signed(hook))).toMatchObject({ status: 200, text: "yes" });
		expect((await eventsOf(hook)).map(({ result }) => result)).toEqual(["answered", "failed"]);
	});

	test("runs as often as it comes where duplicates do", async () => {
		const hook = await made({ duplicates: "run" });
		await deliver(hook, signed(hook));
		expect((await deliver(hook, signed(hook))).text).toBe('{"n":2}');
	});

	test("is on disk before it is answered in the background, with the status of choice", async () => {
		const hook = await made({ mode: "background", answerStatus: 200 });
		const answer = await deliver(hook, signed(hook));
		expect(answer.status).toBe(200);
		const { event, invocation } = JSON.parse(answer.text) as { event: string; invocation: string };
		await expect.poll(() => seen.map(({ request, lane }) => [request.id, lane])).toEqual([[invocation, "background"]]);
		await expect
			.poll(async () => (await eventsOf(hook))[0])
			.toMatchObject({ id: event, result: "queued", state: "settled", outcome: "succeeded" });
		expect((await deliver(hook, signed(hook))).text).toBe(answer.text);
		const quiet = await made({ mode: "background", answerStatus: 204 });
		expect(await deliver(quiet, signed(quiet))).toMatchObject({ status: 204, text: "" });
		await expect.poll(() => seen.length).toBe(2);
	});

	test("is given up when its provider goes away, and runs when it comes again", async () => {
		const hook = await made();
		const began = Promise.withResolvers<void>();
		stack.onInvocation(async ({ cancelled }) => {
			began.resolve();
			await once(cancelled, "abort");
			return ended("cancelled");
		});
		const gone = new AbortController();
		const first = fetch(stack.url + hook.path, { method: "POST", ...signed(hook), signal: gone.signal }).catch(
			(error: Error) => error.name,
		);
		await began.promise;
		gone.abort();
		expect(await first).toBe("AbortError");
		await expect.poll(async () => (await eventsOf(hook))[0]).toMatchObject({ result: "failed", reason: "cancelled" });
		stack.onInvocation(async () => settled(200, "again"));
		expect((await deliver(hook, signed(hook))).text).toBe("again");
	});

	test("is kept where there is no version to run it, and can be redelivered when there is", async () => {
		const hook = await made({ alias: "later" });
		expect((await deliver(hook, signed(hook))).status).toBe(404);
		const [failed] = (await eventsOf(hook)) as [HookEvent];
		expect(failed).toMatchObject({ result: "failed", status: 404, reason: expect.stringContaining("alias_not_found") });
		const { status } = await stack.fetch("/v1/functions/shop/aliases/later", { method: "PUT", body: '{"follows":true}' });
		expect(status).toBe(200);
		await call("POST", `/${hook.name}/events/${failed.id}/redeliver`, {}, 202);
		await expect.poll(() => seen.length).toBe(1);
		expect((await deliver(hook, signed(hook))).status).toBe(200);
	});

	test("is ignored where the filter doesn't have its event, and answers well", async () => {
		const hook = await made({ events: ["push", "pull_*"] });
		expect(await deliver(hook, signed(hook, { event: "star", id: "a", body: "1" }))).toMatchObject({ status: 200 });
		expect(seen).toHaveLength(0);
		await deliver(hook, signed(hook, { event: "pull_request", id: "b", body: "2" }));
		expect(seen).toHaveLength(1);
		expect((await eventsOf(hook)).map(({ result }) => result)).toEqual(["answered", "filtered"]);
	});

	test("answers Slack's challenge itself, and only to who can sign", async () => {
		const secret = "8f742231b10e8888abcd99yyyzzz85a5";
		const hook = { ...(await made({ scheme: "slack", secret })), secret };
		const body = '{"type":"url_verification","challenge":"3eZbrw1a"}';
		expect(await deliver(hook, signed(hook, { body }))).toMatchObject({ status: 200, text: "3eZbrw1a" });
		const forged = await deliver(hook, signed({ ...hook, secret: "another secret" }, { body }));
		expect([forged.status, forged.text.includes("3eZbrw1a")]).toEqual([401, false]);
		expect(seen).toHaveLength(0);
	});
});

describe("a hook with a rate", () => {
	test("takes so many, then says when to come again, and logs that; who can't sign doesn't use it up", async () => {
		const hook = await made({ rate: { limit: 2, periodMs: 60_000 } });
		for (let n = 0; n < 5; n++) expect((await deliver(hook, { body: "{}" })).status).toBe(401);
		for (const id of ["a", "b"]) expect((await deliver(hook, signed(hook, { id, body: `{"id":"${id}"}` }))).status).toBe(200);
		const third = signed(hook, { id: "c", body: '{"id":"c"}' });
		let limited = await deliver(hook, third);
		// One that wasn't let in may have been logged within the tenth of a second before.
		await expect
			.poll(async () => {
				limited = await deliver(hook, third);
				return (await eventsOf(hook, "?result=limited")).length;
			})
			.toBeGreaterThan(0);
		expect([limited.status, JSON.parse(limited.text).code]).toEqual([429, "hook_limited"]);
		const retryAfter = Number(limited.headers.get("retry-after"));
		expect(retryAfter).toBeGreaterThan(1);
		expect(retryAfter).toBeLessThanOrEqual(60);
		expect(seen).toHaveLength(2);
		await call("PATCH", `/${hook.name}`, { rate: null });
		expect((await deliver(hook, third)).status).toBe(200);
		const wrong = (await call("PATCH", `/${hook.name}`, { rate: { limit: 0, periodMs: 60_000 } }, 400)) as { issues: object[] };
		expect(wrong.issues).toMatchObject([{ field: "rate.limit" }]);
	});
});

describe("behind a proxy", () => {
	test("that is trusted the caller is who it says, right-most; of another one the header is nobody's word", async () => {
		const own = await RedisServer.start();
		const behind = await startStack(own.url, { trustedProxies: ["127.0.0.1", "10.0.0.0/8"] });
		try {
			await behind.deploy("shop");
			behind.onInvocation(async ({ request }) => settled(200, JSON.stringify(request.trigger)));
			const answer = await behind.fetch("/v1/functions/shop/hooks", {
				method: "POST",
				headers: { "content-type": "application/json" },
				body: JSON.stringify({ scheme: "none", mode: "sync", allow: ["192.0.2.0/24"], duplicates: "run" }),
			});
			const { path } = (await answer.json()) as HookWithSecret;
			const from = (chain: string) => fetch(behind.url + path, { method: "POST", body: "{}", headers: { "x-forwarded-for": chain } });
			const good = await from("203.0.113.9, 192.0.2.7, 10.1.2.3");
			expect(good.status).toBe(200);
			expect(JSON.stringify(await good.json())).toContain('["x-forwarded-for","203.0.113.9, 192.0.2.7"]');
			for (const chain of ["192.0.2.7, 203.0.113.9", "192.0.2.7, nonsense", "10.1.2.3"]) expect((await from(chain)).status).toBe(401);
		} finally {
			await behind.close();
			await own[Symbol.asyncDispose]();
		}
		const hook = await made({ scheme: "none", allow: ["192.0.2.0/24"] });
		expect((await deliver(hook, { body: "{}", headers: { "x-forwarded-for": "192.0.2.7" } })).status).toBe(401);
	});
});

describe("what isn't let in", () => {
	test("has one answer, whatever the reason is; no hook at all has the same", async () => {
		const hook = await made({ allow: ["127.0.0.0/8"] });
		const elsewhere = await made({ allow: ["192.0.2.0/24"] });
		const good = signed(hook);
		const same = async (answer: { status: number; text: string }) => {
			const { instance, ...problem } = JSON.parse(answer.text) as { instance: string };
			expect(instance).toMatch(/^urn:berth:request:/);
			return [answer.status, problem];
		};
		const unknown = await same(await deliver({ path: `/hook/${"0".repeat(40)}` }, good));
		expect(unknown).toMatchObject([401, { code: "hook_refused" }]);
		const others = [
			await deliver({ path: "/hook/x" }, good),
			await deliver({ path: hook.path.toUpperCase().replace("/HOOK", "/hook") }, good),
			await deliver(hook, { ...good, body: '{"n":2}' }),
			await deliver(hook, { body: good.body }),
			await deliver(hook, { ...good, headers: { ...good.headers, "x-hub-signature-256": "sha256=" } }),
			await deliver(hook, { ...good, method: "PUT" }),
			await deliver({ path: `${hook.path}?${"q".repeat(5000)}` }, good),
			await deliver(elsewhere, signed(elsewhere)),
		];
		for (const answer of others) expect(await same(answer)).toEqual(unknown);
		expect(seen).toHaveLength(0);
	});

	test("is in the log with the reason, and never drives out what was", async () => {
		const hook = await made();
		await deliver(hook, signed(hook));
		await deliver(hook, { body: '{"secret":"of somebody"}' });
		const [refused, answered] = (await eventsOf(hook)) as [HookEvent, HookEvent];
		expect(refused).toMatchObject({ result: "refused", status: 401, reason: "x-hub-signature-256 is missing" });
		expect(answered.result).toBe("answered");
		expect(await call("GET", `/${hook.name}/events/${refused.id}`)).toMatchObject({ body: { text: '{"secret":"of somebody"}' } });
		await call("POST", `/${hook.name}/events/${refused.id}/redeliver`, {}, 400);
		expect(seen).toHaveLength(1);
	});

	test("a header that is there twice is none; huge headers end at the server", async () => {
		const hook = await made();
		const { body, headers } = signed(hook);
		const twice = Object.entries(headers).map(
			([name, value]) => `${name}: ${value}\r\n${name === "x-hub-signature-256" ? `${name}: sha256=${"0".repeat(64)}\r\n` : ""}`,
		);
		const head = (lines: string) =>
			`POST ${hook.path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n${lines}\r\n${body}`;
		expect(await raw(head(twice.join("")))).toMatch(/^HTTP\/1.1 401 /);
		expect(await raw(head(`x-big: ${"y".repeat(70_000)}\r\n`))).toMatch(/^HTTP\/1.1 431 /);
		const many = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
		expect(await raw(head(`${many.join("")}x-big: ${"y".repeat(30_000)}\r\n`))).toMatch(/^HTTP\/1.1 200 /);
		const [event] = (await eventsOf(hook, "?result=answered")) as [HookEvent];
		expect([event.headersCut, event.headers.some(([name]) => name === "x-big")]).toEqual([true, false]);
	});

	test("a body beyond the hook's own limit is 413 with the limit", async () => {
		const hook = await made({ maxBodyBytes: 10 });
		const answer = await deliver(hook, signed(hook, { body: "x".repeat(11) }));
		expect([answer.status, JSON.parse(answer.text).limitBytes]).toEqual([413, 10]);
		expect((await eventsOf(hook))[0]).toMatchObject({ result: "refused", status: 413, reason: expect.stringContaining("10 bytes") });
	});

	test("a token reaches neither the log nor the function", async () => {
		const hook = await made({ scheme: "token", settings: { header: "X-My-Proof" } });
		await deliver(hook, { body: "{}", headers: { "x-my-proof": hook.secret ?? "" } });
		expect(JSON.stringify(seen.map(({ request }) => request))).not.toContain(hook.secret);
		expect(JSON.stringify(await eventsOf(hook))).not.toContain(hook.secret);
		expect(seen).toHaveLength(1);
	});
});

/** What comes back for these bytes until the server closes the connection. */
async function raw(text: string): Promise<string> {
	const socket = connect(Number(new URL(stack.url).port), "127.0.0.1");
	socket.on("error", () => undefined);
	socket.write(text);
	let answer = "";
	socket.on("data", (chunk: Buffer) => {
		answer += chunk.toString();
	});
	await once(socket, "close");
	return answer;
}

describe("redelivery", () => {
	test("of all that failed runs each once, however many ask for it at the same time", async () => {
		const hook = await made();
		stack.onInvocation(async () => settled(500, ""));
		for (const body of ["1", "2", "3"]) await deliver(hook, signed(hook, { body, id: body }));
		stack.onInvocation(async (delivery) => {
			seen.push(delivery);
			return settled(200, "");
		});
		const since = new Date(Date.now() - 60_000).toISOString();
		const answers = (await Promise.all(Array.from({ length: 5 }, () => call("POST", `/${hook.name}/redeliver`, { since }, 202)))) as {
			redelivered: object[];
		}[];
		expect(answers.flatMap(({ redelivered }) => redelivered)).toHaveLength(3);
		await expect.poll(() => seen.map(({ request }) => (request.body as { text: string }).text).sort()).toEqual(["1", "2", "3"]);
	});

	test("runs what failed once more, as an event of its own, and only once", async () => {
		const hook = await made();
		stack.onInvocation(async () => settled(503, "down"));
		const large = JSON.stringify({ text: "é".repeat(5000) });
		await deliver(hook, { ...signed(hook, { id: "small" }) });
		await deliver(hook, { ...signed(hook, { id: "large", body: large }) });
		const since = new Date(Date.now() - 60_000).toISOString();
		const bodies: string[] = [];
		stack.onInvocation(async (delivery) => {
			seen.push(delivery);
			bodies.push((await stack.services.artifacts.queued.getBody(delivery.request.body)).toString());
			return settled(200, "up");
		});
		const { redelivered } = (await call("POST", `/${hook.name}/redeliver`, { since }, 202)) as {
			redelivered: { event: string; as: string }[];
		};
		expect(redelivered).toHaveLength(2);
		await expect.poll(() => bodies.toSorted()).toEqual(['{"n":1}', large].sort());
		const again = (await call("GET", `/${hook.name}/events/${redelivered[1]?.as}`)) as HookEventDetail;
		expect(again).toMatchObject({ result: "queued", redeliveryOf: redelivered[1]?.event, body: { text: large } });
		expect((await call("POST", `/${hook.name}/redeliver`, { since }, 202)) as object).toEqual({ redelivered: [], skipped: [] });
		await call("POST", `/${hook.name}/events/${redelivered[0]?.event}/redeliver`, {}, 202);
		await expect.poll(() => seen.length).toBe(3);
	});

	test("has the headers that its function was given the first time: what its sender can't say it can't say again", async () => {
		const hook = await made();
		const { body, headers } = signed(hook);
		const forged = { "berth-hook": "forged", "berth-hook-event": "forged", "berth-caller": "forged", "berth-joined": "forged" };
		await deliver(hook, { body, headers: { ...headers, ...forged, "x-forwarded-for": "192.0.2.1", "x-own": "kept" } });
		const [event] = (await eventsOf(hook)) as [HookEvent];
		await call("POST", `/${hook.name}/events/${event.id}/redeliver`, {}, 202);
		await expect.poll(() => seen.length).toBe(2);
		const [first, again] = seen.map(({ request }) => (request.trigger.kind === "http" ? request.trigger.request.headers : []));
		const withoutEvent = (pairs: typeof first = []) => pairs.filter(([name]) => name !== "berth-hook-event");
		expect(withoutEvent(again)).toEqual(withoutEvent(first));
		expect(again).toContainEqual(["x-own", "kept"]);
		expect(again?.filter(([name]) => name === "berth-hook-event")).toEqual([["berth-hook-event", expect.stringMatching(/^evt_/)]]);
	});

	test("of one that was lost with its gateway works by its id, as of all that failed", async () => {
		const hook = await made();
		const found = await stack.services.hooks.need("default", "shop", hook.name);
		const lost: StoredEvent = {
			id: newId("evt"),
			function: "shop",
			hook: hook.name,
			at: new Date().toISOString(),
			result: "running",
			from: "127.0.0.1",
			method: "POST",
			query: "",
			headers: [],
			bodyBytes: 2,
			body: { text: "{}" },
		};
		await stack.services.hooks.log.begin(found.id, lost, [], 0);
		await call("POST", `/${hook.name}/events/${lost.id}/redeliver`, {}, 400);
		await stack.services.hooks.log.annotate(found.id, { ...lost, expiresAtMs: Date.now() - 1 });
		expect(await eventsOf(hook)).toMatchObject([{ result: "lost" }]);
		await call("POST", `/${hook.name}/events/${lost.id}/redeliver`, {}, 202);
		await expect.poll(() => seen.map(({ request }) => request.body)).toEqual([{ text: "{}" }]);
	});
});
