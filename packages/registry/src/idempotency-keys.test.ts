import { KIB, MIB } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { IdempotencyKeys, type KeyClaim } from "./idempotency-keys.js";
import { Vault } from "./vault.js";

let server: RedisServer;
let keys: IdempotencyKeys;
beforeAll(async () => {
	server = await RedisServer.start();
	keys = await IdempotencyKeys.open(server.url, new Vault("ab".repeat(32)), { ms: 60_000, bytes: MIB });
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

test("keys of a project take what they may at most, with their answers; a refusal or a known key takes nothing, and another project has its own", async () => {
	const few = await IdempotencyKeys.open(server.url, new Vault("ab".repeat(32)), { ms: 60_000, bytes: 64 * KIB });
	const ask = (key: string, project = "many") => few.claim(project, key, "the same", "inv_1");
	const held = async (key: string) => (await ask(key)) as Claimed;
	try {
		for (let at = 0; at < 200; at++) await few.release((await held(`refused-${at}`)).held);
		let count = 0;
		const fill = async () => {
			for (; count < 100; count++) await few.answer((await held(`key-${count}`)).held, "x".repeat(4 * KIB));
		};
		await expect(fill()).rejects.toMatchObject({
			code: "storage_full",
			message: expect.stringMatching(
				/^idempotency keys of project many take as much with their answers as they may, 1 MiB .*BERTH_IDEMPOTENCY_MIB.*nothing was done/,
			),
			extra: { retryAfterMs: expect.any(Number) },
		});
		expect(count).toBeGreaterThan(10);
		const used = await server.client(async (client) => {
			const names = await client.keys("{berth}:idempotency:many:*");
			return (await Promise.all(names.map((name) => client.memory("USAGE", name)))).reduce<number>((sum, one) => sum + Number(one), 0);
		});
		expect(used).toBeLessThan(1.15 * 64 * KIB);
		expect((await ask("key-0")).kind).toBe("answered");
		expect((await ask("key-0", "theirs")).kind).toBe("claimed");
	} finally {
		await few.close();
	}
});

test("a key that isn't known is refused when there is no memory; one that is known is answered, and one in doubt is claimed", async () => {
	const full = (key: string) => keys.claim("default", key, "the same", "inv_1", false);
	await keys.answer((await claimed("old", "inv_1")).held, "202");
	await keys.letGo((await claimed("in doubt", "inv_1")).held);
	expect([(await full("new")).kind, (await full("old")).kind, (await full("in doubt")).kind]).toEqual(["refused", "answered", "claimed"]);
});
