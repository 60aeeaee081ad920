import { AUDIT_KEPT } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { AuditLog } from "./audit-log.js";

let server: RedisServer;
let audit: AuditLog;
beforeAll(async () => {
	server = await RedisServer.start();
	audit = await AuditLog.open(server.url);
});
beforeEach(() => server.empty());
afterAll(async () => {
	await audit.close();
	await server[Symbol.asyncDispose]();
});

const change = (path: string) => ({ key: { id: "key_1", name: "ci" }, from: "127.0.0.1", method: "PUT", path });

test("a change is there before it ends, then with its end; what was refused isn't", async () => {
	const first = await audit.begin("shop", change("/a"));
	const second = await audit.begin("shop", change("/b"));
	const refused = await audit.begin("shop", change("/c"));
	await audit.end("shop", { of: first, status: 201, about: "x" });
	await audit.drop("shop", refused);
	const { entries } = await audit.list("shop", 10);
	expect(entries).toEqual([
		{ id: second, at: expect.any(String), ...change("/b") },
		{ id: first, at: expect.any(String), ...change("/a"), status: 201, about: "x" },
	]);
	expect(await audit.list("other", 10)).toEqual({ entries: [] });
});

test("it is read in pages, each entry once, and with its end although that is newer than the page", async () => {
	const ids: string[] = [];
	for (let i = 0; i < 5; i++) ids.push(await audit.begin("shop", change(`/${i}`)));
	for (const of of ids) await audit.end("shop", { of, status: 200 });
	const read: (readonly [string, number | undefined])[] = [];
	for (let before: string | undefined, isFirst = true; isFirst || before !== undefined; isFirst = false) {
		const page = await audit.list("shop", 2, before);
		read.push(...page.entries.map(({ path, status }) => [path, status] as const));
		({ before } = page);
	}
	expect(read).toEqual([4, 3, 2, 1, 0].map((i) => [`/${i}`, 200]));
});

test("there is an end to what is kept", async () => {
	await Promise.all(Array.from({ length: 2 * AUDIT_KEPT + 10 }, (_, i) => audit.begin("shop", change(`/${i}`))));
	expect(await server.client((redis) => redis.xlen("{berth}:audit:shop"))).toBe(2 * AUDIT_KEPT);
});

test("it is written also when the memory is full", async () => {
	await server.client((redis) => redis.config("SET", "maxmemory", "1"));
	try {
		expect(await audit.begin("shop", change("/a"))).toMatch(/^\d+-\d+$/);
	} finally {
		await server.client((redis) => redis.config("SET", "maxmemory", "0"));
	}
});
