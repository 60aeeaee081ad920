import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { IdempotencyKeys, type KeyClaim } from "./idempotency-keys.js";
import { Vault } from "./vault.js";

let server: RedisServer;
let keys: IdempotencyKeys;
beforeAll(async () => {
	server = await RedisServer.start();
	keys = await IdempotencyKeys.open(server.url, new Vault("ab".repeat(32)), 60_000);
});
afterAll(async () => {
	await keys?.close();
	await server?.[Symbol.asyncDispose]();
});

type Claimed = Extract<KeyClaim, { kind: "claimed" }>;
const claimed = async (key: string, invocation: string): Promise<Claimed> => {
	const claim = await keys.claim("default", key, "the same", invocation);
	expect(claim.kind).toBe("claimed");
	return claim as Claimed;
};

test("a key whose request was refused before anything was done is as good as new", async () => {
	await keys.release((await claimed("refused", "inv_1")).held);
	expect((await claimed("refused", "inv_2")).invocation).toBe("inv_2");
});

test("a key whose first try is in doubt stands for the same invocation, also after a second one was refused", async () => {
	await keys.letGo((await claimed("doubtful", "inv_1")).held);
	await keys.release((await claimed("doubtful", "inv_2")).held);
	const { invocation, held } = await claimed("doubtful", "inv_3");
	expect(invocation).toBe("inv_1");
	await keys.answer(held, "202");
	expect(await keys.claim("default", "doubtful", "the same", "inv_4")).toMatchObject({ kind: "answered", answer: "202" });
});
