import type { HookEvent, HookInput, HookWithSecret } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "../testing/own-stack.js";
import { mirror } from "../testing/settlements.js";
import { isAllowed } from "./allow-list.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ shop: {} });
	stack.onInvocation(mirror);
});
afterAll(() => stack?.close());

async function call<T>(method: string, path: string, body?: object): Promise<{ status: number; json: T }> {
	const answer = await stack.fetch(`/v1/functions/${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
	const text = await answer.text();
	return { status: answer.status, json: (text === "" ? undefined : JSON.parse(text)) as T };
}
const make = (input: object, name = "shop") => call<HookWithSecret & { detail: string; code: string }>("POST", `${name}/hooks`, input);
const deliver = (path: string, headers: Record<string, string>) => fetch(stack.url + path, { method: "POST", body: "{}", headers });

describe("a hook", () => {
	test("has a URL of 160 random bits and a secret, which is shown once; without one it has the scheme's name", async () => {
		const { status, json } = await make({ scheme: "token" });
		expect(status).toBe(201);
		expect(json).toMatchObject({ name: "token", function: "shop", mode: "background", answerStatus: 202, alias: "live" });
		expect(json.path).toMatch(/^\/hook\/[0-9a-f]{40}$/);
		expect(json.secret).toMatch(/^[0-9a-f]{64}$/);
		const { secret, ...rest } = json;
		expect((await call("GET", "shop/hooks/token")).json).toEqual(rest);
		expect((await call("GET", "shop/hooks")).json).toEqual({ hooks: [rest] });
		expect(JSON.stringify(await stack.redis.client((client) => client.hgetall(`{berth}:hook:${json.path.slice(6)}`)))).not.toContain(
			secret,
		);
		expect((await make({ scheme: "token" })).json).toMatchObject({ code: "hook_exists" });
	});

	test("of a provider that makes the secret lets nobody in until it is set", async () => {
		const { json } = await make({ scheme: "stripe" });
		expect([json.secret, json.secretSetAt]).toEqual([undefined, undefined]);
		expect((await call("POST", "shop/hooks/stripe/rotate", {})).json).toMatchObject({ code: "invalid_request" });
		const set = await call<HookWithSecret>("POST", "shop/hooks/stripe/rotate", { secret: "whsec_12345678" });
		expect([set.status, set.json.secret, set.json.previousSecretUntil]).toEqual([200, undefined, undefined]);
	});

	test("has two secrets while it is rotated, and one after", async () => {
		const first = (await make({ scheme: "token", name: "rotated" })).json;
		const rotated = (await call<HookWithSecret>("POST", "shop/hooks/rotated/rotate", { overlapMs: 60_000 })).json;
		const status = async (secret = "") => (await deliver(first.path, { authorization: `Bearer ${secret}` })).status;
		expect([await status(first.secret), await status(rotated.secret)]).toEqual([202, 202]);
		const third = (await call<HookWithSecret>("POST", "shop/hooks/rotated/rotate", { overlapMs: 0 })).json;
		expect([await status(first.secret), await status(rotated.secret), await status(third.secret)]).toEqual([401, 401, 202]);
	});

	test("is changed by what is named, and nothing else", async () => {
		const before = (await make({ scheme: "github", name: "changed", events: ["push"] })).json;
		const { json } = await call<HookWithSecret>("PATCH", "shop/hooks/changed", { mode: "sync", allow: ["::1/128"] });
		const { secret: _, updatedAt: __, ...rest } = before;
		expect(json).toMatchObject({ ...rest, mode: "sync", allow: ["::1/128"], events: ["push"] });
		expect((await deliver(before.path, {})).status).toBe(401);
	});

	test("goes with its log, alone or with its function; its URL is nobody's any more", async () => {
		await stack.deploy("gone");
		const [one, other] = [
			(await make({ scheme: "none", name: "one" }, "gone")).json,
			(await make({ scheme: "none", name: "other" }, "gone")).json,
		];
		expect([(await deliver(one.path, {})).status, (await deliver(other.path, {})).status]).toEqual([202, 202]);
		expect((await call("DELETE", "gone/hooks/one")).status).toBe(204);
		expect((await call("DELETE", "gone/hooks/one")).status).toBe(404);
		expect((await deliver(one.path, {})).status).toBe(401);
		expect((await call("DELETE", "gone")).status).toBe(204);
		expect((await deliver(other.path, {})).status).toBe(401);
		const left = await stack.redis.client((client) => client.keys(`*${other.path.slice(6)}*`));
		expect(left).toEqual([]);
		await stack.deploy("gone");
		expect((await call("GET", "gone/hooks")).json).toEqual({ hooks: [] });
	});

	test("of another name or function isn't there", async () => {
		expect((await call("GET", "shop/hooks/nothing")).json).toMatchObject({ code: "hook_not_found" });
		expect((await call("GET", "nothing/hooks")).json).toMatchObject({ code: "function_not_found" });
		expect((await make({ scheme: "none" }, "nothing")).json).toMatchObject({ code: "function_not_found" });
		expect((await call("GET", "shop/hooks/token/events/evt_1")).json).toMatchObject({ code: "hook_event_not_found" });
		expect((await stack.fetch("/v1/functions/shop/hooks", { headers: { authorization: "" } })).status).toBe(401);
	});
});

test.each<[object, string]>([
	[{}, "scheme"],
	[{ scheme: "gitub" }, "scheme"],
	[{ scheme: "github", secrt: "x" }, "did you mean secret"],
	[{ scheme: "github", secret: "short" }, "8 to 256"],
	[{ scheme: "none", secret: "long enough" }, "has none"],
	[{ scheme: "standard-webhooks", secret: "whsec_short1" }, "24 to 64 bytes"],
	[{ scheme: "github", settings: { header: "x" } }, "settings.header"],
	[{ scheme: "hmac", settings: { header: "no header" } }, "settings.header"],
	[{ scheme: "hmac", settings: { algorithm: "md5" } }, "sha1, sha256, sha512"],
	[{ scheme: "hmac", events: ["push"] }, "settings.eventHeader"],
	[{ scheme: "github", toleranceMs: 60_000 }, "no timestamp"],
	[{ scheme: "stripe", toleranceMs: 5 }, "1000 to 3600000"],
	[{ scheme: "github", allow: ["192.0.2.0/33"] }, "192.0.2.0/24"],
	[{ scheme: "github", allow: ["example.com"] }, "192.0.2.0/24"],
	[{ scheme: "github", answerStatus: 500 }, "200, 202, 204"],
	[{ scheme: "github", maxBodyBytes: 10_000_000 }, "1 to 6291456"],
	[{ scheme: "github", methods: [] }, "one at least"],
	[{ scheme: "github", mode: "later" }, "background or sync"],
	[{ scheme: "github", alias: "v3" }, "alias"],
	[{ scheme: "github", alias: "canary" }, "shop has no alias canary; make it first"],
	[{ scheme: "github", name: "Not A Name" }, "name"],
])("%j is refused with what is allowed", async (input, words) => {
	const { status, json } = await make(input as HookInput);
	expect([status, json.code]).toEqual([400, "invalid_request"]);
	expect(json.detail).toContain(words);
});

describe("the log", () => {
	test("is listed in pages, and searched", async () => {
		const { path } = (await make({ scheme: "none", name: "listed", settings: { eventHeader: "x-event" } })).json;
		for (let n = 0; n < 7; n++)
			await fetch(stack.url + path, { method: "POST", body: `{"order":"no-${n}"}`, headers: { "x-event": n % 2 === 0 ? "even" : "odd" } });
		const list = async (query: string) =>
			(await call<{ events: HookEvent[]; before?: number }>("GET", `shop/hooks/listed/events${query}`)).json;
		const first = await list("?limit=3");
		const second = await list(`?limit=3&before=${first.before}`);
		const third = await list(`?limit=3&before=${second.before}`);
		const all = [...first.events, ...second.events, ...third.events];
		expect([all.length, third.before]).toEqual([7, undefined]);
		expect(all.map(({ revision }) => revision)).toEqual(all.map(({ revision }) => revision).sort((a, b) => b - a));
		expect((await list("?event=odd")).events).toHaveLength(3);
		expect((await list("?search=NO-4")).events).toHaveLength(1);
		expect((await list(`?since=${new Date(Date.now() + 60_000).toISOString()}`)).events).toEqual([]);
		for (const wrong of ["limit=0", "limit=101", "result=good", "since=yesterday", "before=-1", "search="])
			expect([wrong, (await call("GET", `shop/hooks/listed/events?${wrong}`)).status]).toEqual([wrong, 400]);
	});

	test("is followed as it grows", async () => {
		const { path } = (await make({ scheme: "none", name: "followed" })).json;
		await deliver(path, {});
		const stop = new AbortController();
		const answer = await stack.fetch("/v1/functions/shop/hooks/followed/events", {
			headers: { accept: "text/event-stream" },
			signal: stop.signal,
		});
		const reader = (answer.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
		await deliver(path, {});
		let text = "";
		while (!text.includes("\n\n")) text += (await reader.read()).value ?? "";
		expect(text).toMatch(/^id: \d+\nevent: delivery\ndata: \{.*"result":"queued"/);
		await call("DELETE", "shop/hooks/followed");
		while (!text.includes("event: end")) text += (await reader.read()).value ?? "";
		expect(text.match(/event: delivery/g)).toHaveLength(1);
		stop.abort();
	});
});

test("an address is held against networks of its family; IPv4 in IPv6 is IPv4", () => {
	const listed = ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"];
	for (const address of ["192.0.2.9", "::ffff:192.0.2.9", "2001:db8:1::1", "198.51.100.7"])
		expect([address, isAllowed(address, listed)]).toEqual([address, true]);
	for (const address of ["192.0.3.1", "::ffff:192.0.3.1", "2001:db9::1", "198.51.100.8", "unknown", ""])
		expect([address, isAllowed(address, listed)]).toEqual([address, false]);
	expect(isAllowed("203.0.113.1", [])).toBe(true);
});
