import { type HookEvent, type HookEventDetail, newId } from "@berth/contracts";
import type { StoredEvent } from "@berth/registry";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { HookShop, settled, signed } from "../testing/hook-shop.js";
import { rawAnswer } from "../testing/raw-answer.js";

let shop: HookShop;
beforeAll(async () => {
	shop = await HookShop.open();
});
afterAll(() => shop?.close());
beforeEach(() => shop.begin());

describe("what isn't let in", () => {
	test("has ten of those in any second that weren't let in: strangers decide how many there are", async () => {
		const hook = await shop.made();
		const now = vi.spyOn(performance, "now").mockReturnValue(5_000_000);
		try {
			await Promise.all(Array.from({ length: 15 }, () => shop.deliver(hook, { body: "{}" })));
			expect(await shop.eventsOf(hook)).toHaveLength(10);
			now.mockReturnValue(5_001_000);
			await shop.deliver(hook, { body: "{}" });
			expect(await shop.eventsOf(hook)).toHaveLength(11);
		} finally {
			now.mockRestore();
		}
	});

	test("has one answer, whatever the reason is; no hook at all has the same", async () => {
		const hook = await shop.made({ allow: ["127.0.0.0/8"] });
		const elsewhere = await shop.made({ allow: ["192.0.2.0/24"] });
		const good = signed(hook);
		const same = async (answer: { status: number; text: string }) => {
			const { instance, ...problem } = JSON.parse(answer.text) as { instance: string };
			expect(instance).toMatch(/^urn:berth:request:/);
			return [answer.status, problem];
		};
		const unknown = await same(await shop.deliver({ path: `/hook/${"0".repeat(40)}` }, good));
		expect(unknown).toMatchObject([401, { code: "hook_refused" }]);
		const others = [
			await shop.deliver({ path: "/hook/x" }, good),
			await shop.deliver({ path: hook.path.toUpperCase().replace("/HOOK", "/hook") }, good),
			await shop.deliver(hook, { ...good, body: '{"n":2}' }),
			await shop.deliver(hook, { body: good.body }),
			await shop.deliver(hook, { ...good, headers: { ...good.headers, "x-hub-signature-256": "sha256=" } }),
			await shop.deliver(hook, { ...good, method: "PUT" }),
			await shop.deliver({ path: `${hook.path}?${"q".repeat(5000)}` }, good),
			await shop.deliver(elsewhere, signed(elsewhere)),
		];
		for (const answer of others) expect(await same(answer)).toEqual(unknown);
		expect(shop.seen).toHaveLength(0);
	});

	test("is in the log with the reason, and never drives out what was", async () => {
		const hook = await shop.made();
		await shop.deliver(hook, signed(hook));
		await shop.deliver(hook, { body: '{"secret":"of somebody"}' });
		const [refused, answered] = (await shop.eventsOf(hook)) as [HookEvent, HookEvent];
		expect(refused).toMatchObject({ result: "refused", status: 401, reason: "x-hub-signature-256 is missing" });
		expect(answered.result).toBe("answered");
		expect(await shop.call("GET", `/${hook.name}/events/${refused.id}`)).toMatchObject({ body: { text: '{"secret":"of somebody"}' } });
		await shop.call("POST", `/${hook.name}/events/${refused.id}/redeliver`, {}, 400);
		expect(shop.seen).toHaveLength(1);
	});

	test("a header that is there twice is none; huge headers end at the server", async () => {
		const hook = await shop.made();
		const { body, headers } = signed(hook);
		const twice = Object.entries(headers).map(
			([name, value]) => `${name}: ${value}\r\n${name === "x-hub-signature-256" ? `${name}: sha256=${"0".repeat(64)}\r\n` : ""}`,
		);
		const head = (lines: string) =>
			`POST ${hook.path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n${lines}\r\n${body}`;
		expect(await rawAnswer(shop.stack.url, head(twice.join("")))).toMatch(/^HTTP\/1.1 401 /);
		expect(await rawAnswer(shop.stack.url, head(`x-big: ${"y".repeat(70_000)}\r\n`))).toMatch(/^HTTP\/1.1 431 /);
		const many = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
		expect(await rawAnswer(shop.stack.url, head(`${many.join("")}x-big: ${"y".repeat(30_000)}\r\n`))).toMatch(/^HTTP\/1.1 200 /);
		const [event] = (await shop.eventsOf(hook, "?result=answered")) as [HookEvent];
		expect([event.headersCut, event.headers.some(([name]) => name === "x-big")]).toEqual([true, false]);
	});

	test("a body beyond the hook's own limit is 413 with the limit", async () => {
		const hook = await shop.made({ maxBodyBytes: 10 });
		const answer = await shop.deliver(hook, signed(hook, { body: "x".repeat(11) }));
		expect([answer.status, JSON.parse(answer.text).limitBytes]).toEqual([413, 10]);
		expect((await shop.eventsOf(hook))[0]).toMatchObject({ result: "refused", status: 413, reason: expect.stringContaining("10 bytes") });
	});

	test("a token reaches neither the log nor the function", async () => {
		const hook = await shop.made({ scheme: "token", settings: { header: "X-My-Proof" } });
		await shop.deliver(hook, { body: "{}", headers: { "x-my-proof": hook.secret ?? "" } });
		expect(JSON.stringify(shop.seen.map(({ request }) => request))).not.toContain(hook.secret);
		expect(JSON.stringify(await shop.eventsOf(hook))).not.toContain(hook.secret);
		expect(shop.seen).toHaveLength(1);
	});
});

describe("redelivery", () => {
	test("of all that failed runs each once, however many ask for it at the same time", async () => {
		const hook = await shop.made();
		shop.stack.onInvocation(async () => settled(500, ""));
		for (const body of ["1", "2", "3"]) await shop.deliver(hook, signed(hook, { body, id: body }));
		shop.stack.onInvocation(async (delivery) => {
			shop.seen.push(delivery);
			return settled(200, "");
		});
		const since = new Date(Date.now() - 60_000).toISOString();
		const answers = (await Promise.all(Array.from({ length: 5 }, () => shop.call("POST", `/${hook.name}/redeliver`, { since }, 202)))) as {
			redelivered: object[];
		}[];
		expect(answers.flatMap(({ redelivered }) => redelivered)).toHaveLength(3);
		await expect.poll(() => shop.seen.map(({ request }) => (request.body as { text: string }).text).sort()).toEqual(["1", "2", "3"]);
	});

	test("runs what failed once more, as an event of its own, and only once", async () => {
		const hook = await shop.made();
		shop.stack.onInvocation(async () => settled(503, "down"));
		const large = JSON.stringify({ text: "é".repeat(5000) });
		await shop.deliver(hook, { ...signed(hook, { id: "small" }) });
		await shop.deliver(hook, { ...signed(hook, { id: "large", body: large }) });
		const since = new Date(Date.now() - 60_000).toISOString();
		const bodies: string[] = [];
		shop.stack.onInvocation(async (delivery) => {
			shop.seen.push(delivery);
			bodies.push((await shop.stack.services.artifacts.queued.getBody(delivery.request.body)).toString());
			return settled(200, "up");
		});
		const { redelivered } = (await shop.call("POST", `/${hook.name}/redeliver`, { since }, 202)) as {
			redelivered: { event: string; as: string }[];
		};
		expect(redelivered).toHaveLength(2);
		await expect.poll(() => bodies.toSorted()).toEqual(['{"n":1}', large].sort());
		const again = (await shop.call("GET", `/${hook.name}/events/${redelivered[1]?.as}`)) as HookEventDetail;
		expect(again).toMatchObject({ result: "queued", redeliveryOf: redelivered[1]?.event, body: { text: large } });
		expect((await shop.call("POST", `/${hook.name}/redeliver`, { since }, 202)) as object).toEqual({ redelivered: [], skipped: [] });
		await shop.call("POST", `/${hook.name}/events/${redelivered[0]?.event}/redeliver`, {}, 202);
		await expect.poll(() => shop.seen.length).toBe(3);
	});

	test("has the headers that its function was given the first time: what its sender can't say it can't say again", async () => {
		const hook = await shop.made();
		const { body, headers } = signed(hook);
		const forged = { "berth-hook": "forged", "berth-hook-event": "forged", "berth-caller": "forged", "berth-joined": "forged" };
		await shop.deliver(hook, { body, headers: { ...headers, ...forged, "x-forwarded-for": "192.0.2.1", "x-own": "kept" } });
		const [event] = (await shop.eventsOf(hook)) as [HookEvent];
		await shop.call("POST", `/${hook.name}/events/${event.id}/redeliver`, {}, 202);
		await expect.poll(() => shop.seen.length).toBe(2);
		const [first, again] = shop.seen.map(({ request }) => (request.trigger.kind === "http" ? request.trigger.request.headers : []));
		const withoutEvent = (pairs: typeof first = []) => pairs.filter(([name]) => name !== "berth-hook-event");
		expect(withoutEvent(again)).toEqual(withoutEvent(first));
		expect(again).toContainEqual(["x-own", "kept"]);
		expect(again?.filter(([name]) => name === "berth-hook-event")).toEqual([["berth-hook-event", expect.stringMatching(/^evt_/)]]);
	});

	test("of one that was lost with its gateway works by its id, as of all that failed", async () => {
		const hook = await shop.made();
		const found = await shop.stack.services.hooks.need("default", "shop", hook.name);
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
		await shop.stack.services.hooks.log.begin(found.id, lost, [], 0);
		await shop.call("POST", `/${hook.name}/events/${lost.id}/redeliver`, {}, 400);
		await shop.stack.services.hooks.log.annotate(found.id, { ...lost, expiresAtMs: Date.now() - 1 });
		expect(await shop.eventsOf(hook)).toMatchObject([{ result: "lost" }]);
		await shop.call("POST", `/${hook.name}/events/${lost.id}/redeliver`, {}, 202);
		await expect.poll(() => shop.seen.map(({ request }) => request.body)).toEqual([{ text: "{}" }]);
	});
});
