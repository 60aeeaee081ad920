import type { HookWithSecret } from "@berth/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "../testing/own-stack.js";
import { ended } from "../testing/settlements.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ shop: {} });
});
afterAll(async () => {
	stack?.redis.resume();
	await stack?.close();
});

test("while the durable Redis is away nothing is let in, and the provider hears that it should come again", async () => {
	let runs = 0;
	stack.onInvocation(async () => {
		runs++;
		return ended("succeeded", {}, { body: { text: "ok" } });
	});
	const made = await stack.fetch("/v1/functions/shop/hooks", {
		method: "POST",
		body: JSON.stringify({ scheme: "token", mode: "sync", settings: { idHeader: "x-id" } }),
	});
	const hook = (await made.json()) as HookWithSecret;
	const headers = { authorization: `Bearer ${hook.secret}`, "x-id": "1" };
	const deliver = () => fetch(stack.url + hook.path, { method: "POST", body: "{}", headers });
	stack.redis.freeze();
	const away = await deliver();
	expect([away.status, away.headers.get("retry-after"), runs]).toEqual([503, "1", 0]);
	stack.redis.resume();
	await expect.poll(async () => (await deliver()).status).toBe(200);
	expect(await (await deliver()).text()).toBe("ok");
	expect(runs).toBe(1);
});
