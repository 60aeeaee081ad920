import { closeRedis, openRedis, SILENT } from "@berth/redis";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { FAST_IN_USE } from "./keys.js";
import { openInvocationQueue, openInvocationSource } from "./open.js";
import { ServerPair } from "./server-pair.js";
import { FUNCTION_RECORDS } from "./testing/lanes.js";

let servers: readonly RedisServer[];
let durable: RedisServer;
let fast: RedisServer;
let other: RedisServer;
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
	servers = await Promise.all(Array.from({ length: 3 }, () => RedisServer.start()));
	[durable, fast, other] = servers as [RedisServer, RedisServer, RedisServer];
});
afterEach(async () => {
	await Promise.all(opened.splice(0).map((one) => one.close()));
	await Promise.all(servers.map((server) => server.empty()));
});
afterAll(() => Promise.all((servers ?? []).map((server) => server[Symbol.asyncDispose]())));

const keep = <T extends { close(): Promise<void> }>(one: T): T => {
	opened.push(one);
	return one;
};
const urls = (of: RedisServer) => ({ durableUrl: durable.url, fastUrl: of.url });
const gateway = async (of: RedisServer) =>
	keep(await openInvocationQueue({ ...urls(of), gatewayId: "gw_pair", functionRecords: FUNCTION_RECORDS }));
const worker = async (of: RedisServer) => keep(await openInvocationSource({ ...urls(of), nodeId: "node_pair", incarnation: "1" }));

/** What holds the lease, and its log. */
async function held(of: RedisServer) {
	const connections = await openRedis([
		{ url: durable.url, use: "patient", name: "pair-durable" },
		{ url: of.url, serves: "fast", use: "patient", name: "pair-fast" },
	]);
	const told: string[] = [];
	const log = { ...SILENT, error: (_: unknown, text: string) => void told.push(text) };
	const pair = await ServerPair.hold({ durable: connections[0], fast: connections[1], log });
	const close = async () => {
		pair.stop();
		await Promise.all(connections.map(closeRedis));
	};
	return { told, ...keep({ close }) };
}

const lease = () => durable.client((redis) => redis.get(FAST_IN_USE));
const fastIdIn = async () => (await lease())?.split(" ")[0];
const cutShort = () => durable.client((redis) => redis.pexpire(FAST_IN_USE, 300));

const IN_USE =
	/^this machine can't be of this stack: the durable Redis is in use with the fast Redis \w{8} \(by \S+, last\), and this machine's is another one, \w{8}: BERTH_FAST_REDIS_URL/;

describe("a machine with the durable server of a stack that lives", () => {
	test("and a fast one of its own is refused, gateway or worker; with the stack's it is of it at once", async () => {
		await gateway(fast);
		const id = await fastIdIn();
		await Promise.all([expect(gateway(other)).rejects.toThrow(IN_USE), expect(worker(other)).rejects.toThrow(IN_USE)]);
		await worker(fast);
		expect(await fastIdIn()).toBe(id);
	});

	test("that was killed with all of its machines waits for nothing, as it has the same fast one", async () => {
		await (await held(fast)).close();
		const before = await lease();
		await gateway(fast);
		expect(await lease()).toBe(before);
	});

	test("that was stopped to use another fast one waits until the lease has ended", async () => {
		await (await held(fast)).close();
		const before = await fastIdIn();
		await cutShort();
		await gateway(other);
		expect(await fastIdIn()).not.toBe(before);
	});

	test("is refused with one that is the durable one, too", async () => {
		await gateway(fast);
		await expect(gateway(durable)).rejects.toThrow(IN_USE);
	});
});

test("one server may be both", async () => {
	await gateway(durable);
	await worker(durable);
	await expect(gateway(fast)).rejects.toThrow(IN_USE);
});

test("a fast server that was emptied is the stack's still: who uses it passes the lease on, and nobody else gets it", async () => {
	const [one, two] = [await held(fast), await held(fast)];
	const before = await fastIdIn();
	await fast.empty();
	// A start finds the lease by the id that it had.
	await gateway(fast);
	expect(await fastIdIn()).not.toBe(before);
	await expect(gateway(other)).rejects.toThrow(IN_USE);
	expect([one.told, two.told]).toEqual([[], []]);
});

describe("a lease with an hour left, since the durable server's clock was set back,", () => {
	const HOUR_MS = 3_600_000;
	const leftMs = () => durable.client((redis) => redis.pttl(FAST_IN_USE));

	test("that nobody renews any more ends as any other", async () => {
		await durable.client((redis) => redis.set(FAST_IN_USE, "0badcafe elsewhere", "PX", HOUR_MS));
		const told: string[] = [];
		const logger = { ...SILENT, info: (_: unknown, text: string) => void told.push(text) };
		const started = openInvocationSource({ ...urls(fast), nodeId: "node_pair", incarnation: "1", logger }).then(keep);
		await expect.poll(leftMs).toBeLessThanOrEqual(10_000);
		await cutShort();
		await started;
		expect(await fastIdIn()).not.toBe("0badcafe");
		expect(told).toEqual([expect.stringMatching(/^another fast Redis has the lease of this stack: waiting until it ends/)]);
	});

	test("is renewed by those whose it is, and nobody else gets it", async () => {
		await held(fast);
		const before = await lease();
		await durable.client((redis) => redis.pexpire(FAST_IN_USE, HOUR_MS));
		await expect(gateway(other)).rejects.toThrow(IN_USE);
		expect([await lease(), await leftMs()]).toEqual([before, expect.toSatisfy((left: number) => left <= 10_000)]);
	});
});

test("a fast server that is silent is the stack's still", async () => {
	await held(fast);
	fast.freeze();
	try {
		await expect(gateway(other)).rejects.toThrow(IN_USE);
	} finally {
		fast.resume();
	}
});

test("who finds another one's lease says so once, and leaves it", async () => {
	const one = await held(fast);
	await durable.client((redis) => redis.set(FAST_IN_USE, "0badcafe elsewhere", "PX", 60_000));
	await expect
		.poll(() => one.told, { timeout: 10_000 })
		.toEqual([expect.stringMatching(/isn't of its stack any more: .* 0badcafe \(by elsewhere/)]);
	expect(await lease()).toBe("0badcafe elsewhere");
});

describe("a durable server that takes no writes", () => {
	afterEach(() => durable.client((redis) => redis.config("SET", "min-replicas-to-write", "0", "maxmemory", "0")));

	test("keeps nobody from starting whose lease it is, or that has nobody's", async () => {
		await durable.client((redis) => redis.config("SET", "min-replicas-to-write", "1"));
		await held(fast);
		expect(await lease()).toBeNull();
	});

	test("since it is full gives the lease all the same", async () => {
		await durable.client((redis) => redis.config("SET", "maxmemory", "1"));
		await held(fast);
		expect(await fastIdIn()).toMatch(/^\w{8}$/);
	});
});
