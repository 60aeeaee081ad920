import { BerthError, type SharedMeans } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { NODE_IDS, nodeLeaseOf } from "./keys.js";
import type { NodeAnswer, NodeChange, NodeDirectory, NodeMembership, NodeQuestion } from "./node-ports.js";
import { lookAtStack, openNodeDirectory, openNodeMembership } from "./open.js";

let server: RedisServer;
const close: (() => Promise<void>)[] = [];
beforeAll(async () => {
	server = await RedisServer.start();
});
afterEach(async () => {
	await Promise.all(close.splice(0).map((one) => one()));
	await server.empty();
});
afterAll(() => server[Symbol.asyncDispose]());

async function directory(onChange?: (node: string, change: NodeChange) => void): Promise<NodeDirectory> {
	const opened = await openNodeDirectory({ fastUrl: server.url, gatewayId: "gw_test", ...(onChange === undefined ? {} : { onChange }) });
	close.push(() => opened.close());
	return opened;
}

async function member(
	id: string,
	incarnation = "1",
	answer: (question: NodeQuestion) => Promise<NodeAnswer> = async () => ({ kind: "done", affected: 0 }),
): Promise<NodeMembership> {
	const opened = await openNodeMembership({ fastUrl: server.url });
	close.push(() => opened.leave());
	await opened.join({ id, incarnation, startedAtMs: 1 }, answer);
	return opened;
}

const ids = (nodes: NodeDirectory) => nodes.nodes().map(({ id }) => id);

test("who joins is listed at once, who leaves isn't any more, and the gateway is told", async () => {
	const changes: string[] = [];
	const nodes = await directory((id, { reason }) => changes.push(`${id} ${reason}`));
	expect(ids(nodes)).toEqual([]);
	const b = await member("b");
	await member("a");
	expect((await b.nodes()).map(({ id }) => id).sort()).toEqual(["a", "b"]);
	await expect.poll(() => ids(nodes)).toEqual(["a", "b"]);
	await b.leave();
	await expect.poll(() => ids(nodes)).toEqual(["a"]);
	expect(changes).toEqual(["b abandoned"]);
});

test("a node whose lease has ended is gone, though it said nothing", async () => {
	const changes: string[] = [];
	await server.client(async (redis) => {
		await redis.sadd(NODE_IDS, "dead");
		await redis.set(nodeLeaseOf("dead"), JSON.stringify({ id: "dead", incarnation: "1", startedAtMs: 1 }));
	});
	const nodes = await directory((id, { reason }) => changes.push(`${id} ${reason}`));
	expect(ids(nodes)).toEqual(["dead"]);
	await server.client((redis) => redis.pexpire(nodeLeaseOf("dead"), 1));
	await expect.poll(() => ids(nodes)).toEqual([]);
	expect(changes).toEqual(["dead abandoned"]);
	expect(await server.client((redis) => redis.smembers(NODE_IDS))).toEqual([]);
});

test("a worker that started again is another one: what the first had is gone", async () => {
	const changes: string[] = [];
	const nodes = await directory((id, { reason, incarnation }) => changes.push(`${id}/${incarnation} ${reason}`));
	const first = await member("a", "1");
	await expect.poll(() => ids(nodes)).toEqual(["a"]);
	await member("a", "2");
	await expect.poll(() => changes).toEqual(["a/1 restarted"]);
	// The first one's farewell doesn't take the second one's lease.
	await first.leave();
	await expect.poll(() => server.client((redis) => redis.exists(nodeLeaseOf("a")))).toBe(1);
	expect(ids(nodes)).toEqual(["a"]);
});

test("a node that drains is listed as that until it leaves, and the gateway is told once", async () => {
	const changes: string[] = [];
	const nodes = await directory((_, { reason }) => changes.push(reason));
	const a = await member("a");
	await expect.poll(() => ids(nodes)).toEqual(["a"]);
	await a.drain();
	await expect.poll(() => nodes.nodes()).toMatchObject([{ id: "a", draining: true }]);
	await a.leave();
	await expect.poll(() => ids(nodes)).toEqual([]);
	expect(changes).toEqual(["draining", "abandoned"]);
});

test("what a node holds is said with its lease, and what it was is known for a while after it went", async () => {
	const nodes = await directory();
	const held = { memoryMiB: 1024, heldMiB: 128, sandboxes: 2, running: 1, mostRunning: 8, warm: ["p/f:1"] };
	const opened = await openNodeMembership({ fastUrl: server.url });
	close.push(() => opened.leave());
	await opened.join(
		{ id: "a", incarnation: "1", startedAtMs: 1, labels: { zone: "a" } },
		async () => ({ kind: "done", affected: 0 }),
		() => held,
	);
	await expect.poll(() => nodes.nodes()).toMatchObject([{ id: "a", labels: { zone: "a" }, load: held }]);
	await opened.leave();
	await expect.poll(() => nodes.gone()).toMatchObject([{ node: { id: "a", labels: { zone: "a" } }, reason: "left" }]);
	await member("a", "2");
	await expect.poll(() => nodes.gone()).toEqual([]);
	await server.client((redis) => redis.del(nodeLeaseOf("a")));
	await expect.poll(() => nodes.gone()).toMatchObject([{ node: { id: "a" }, reason: "lost" }]);
});

test("gateways are listed with where they are reached", async () => {
	const self = { id: "gw_a", startedAtMs: 1, address: "10.0.0.1:8081" };
	const opened = await openNodeDirectory({ fastUrl: server.url, gatewayId: "gw_a", self });
	close.push(() => opened.close());
	expect(await opened.gateways()).toEqual([self]);
});

test("a question is answered; an answer that fails is a refusal with its code", async () => {
	const nodes = await directory();
	await member("a", "1", async (question) => {
		if (question.kind === "evict") throw new BerthError("not_found", "no such function");
		return { kind: "done", affected: 7 };
	});
	expect(await nodes.ask("a", { kind: "stats" })).toEqual({ kind: "done", affected: 7 });
	expect(await nodes.ask("a", { kind: "evict", project: "p", function: "f" })).toEqual({
		kind: "refused",
		code: "not_found",
		detail: "no such function",
	});
});

test("a node that isn't there, or doesn't answer in time, is unavailable", async () => {
	const nodes = await directory();
	await expect(nodes.ask("nobody", { kind: "stats" })).rejects.toMatchObject({ code: "unavailable" });
	await member("deaf", "1", () => new Promise(() => undefined));
	await expect(nodes.ask("deaf", { kind: "stats" }, 50)).rejects.toMatchObject({ code: "unavailable" });
});

test("the list comes back with Redis", async () => {
	const nodes = await directory();
	await member("a");
	await expect.poll(() => ids(nodes)).toEqual(["a"]);
	await server.kill();
	await server.start();
	await expect
		.poll(() => nodes.ask("a", { kind: "stats" }).catch(() => undefined), { timeout: 10_000 })
		.toEqual({ kind: "done", affected: 0 });
});

test("where the server came back empty, or says nothing for long, that is why nodes are missing, and it is said as long as it is so", async () => {
	const self = { id: "gw_a", startedAtMs: 1 };
	const nodes = await openNodeDirectory({ fastUrl: server.url, gatewayId: "gw_a", self });
	close.push(() => nodes.close());
	const a = await member("a");
	await expect.poll(() => ids(nodes)).toEqual(["a"]);
	expect(nodes.unlisted()).toBeUndefined();
	await server.empty();
	await expect
		.poll(() => nodes.unlisted(), { timeout: 5000 })
		.toMatch(/^not all workers may be listed yet: .*came back without their leases/);
	await expect.poll(() => ids(nodes), { timeout: 5000 }).toEqual(["a"]);
	await a.leave();
	// Long enough for the leases to be over, and no longer.
	await expect.poll(() => [ids(nodes), nodes.unlisted()], { timeout: 12_000 }).toEqual([[], undefined]);
	server.freeze();
	try {
		await expect.poll(() => nodes.unlisted(), { timeout: 15_000 }).toMatch(/^listing the nodes: the fast Redis doesn't answer/);
	} finally {
		server.resume();
	}
	await expect.poll(() => String(nodes.unlisted()), { timeout: 5000 }).not.toContain("doesn't answer");
}, 45_000);

test("a node that is started again stays listed while it is away, and what waits for it is left to it", async () => {
	const changes: string[] = [];
	const nodes = await directory((_id, { reason }) => changes.push(reason));
	const a = await member("a");
	await expect.poll(() => ids(nodes)).toEqual(["a"]);
	await a.drain(true);
	await a.leave();
	await expect.poll(() => nodes.nodes()).toMatchObject([{ id: "a", incarnation: "1", draining: true, returns: true }]);
	await member("a", "2");
	await expect.poll(() => nodes.nodes().map(({ incarnation, draining }) => [incarnation, draining])).toEqual([["2", undefined]]);
	expect(changes).toEqual(["restarted"]);
});

test("a node that an operator drains is listed as draining, also after a start of its worker, until it is to take work again", async () => {
	const changes: string[] = [];
	const nodes = await directory((_, { reason }) => changes.push(reason));
	const a = await member("a");
	await a.setDrained(true);
	await expect.poll(() => nodes.nodes()).toMatchObject([{ id: "a", draining: true }]);
	await a.leave();
	const next = await member("a", "2");
	expect(next.isDraining).toBe(true);
	await expect.poll(() => nodes.nodes()).toMatchObject([{ id: "a", incarnation: "2", draining: true }]);
	await next.setDrained(false);
	await expect.poll(() => nodes.nodes()[0]?.draining).toBeUndefined();
	await next.leave();
	expect((await member("a", "3")).isDraining).toBe(false);
	expect(changes).toContain("draining");
});

test("who may join hears of the gateways there are, and of a setting that it has another of", async () => {
	const ours: SharedMeans = {
		machine: "node_a",
		hasPeers: true,
		stack: "11111111",
		payloads: "bucket",
		images: "registry/berth",
		keys: ["aaaaaaaa"],
	};
	const look = (other: Partial<SharedMeans> = {}) =>
		lookAtStack({ durableUrl: server.url, fastUrl: server.url, shares: { ...ours, machine: "node_b", ...other } });
	expect(await look()).toEqual({ gateways: 0 });
	const nodes = await openNodeDirectory({ fastUrl: server.url, gatewayId: "gw_1", self: { id: "gw_1", startedAtMs: 1, shares: ours } });
	close.push(() => nodes.close());
	expect(await look()).toEqual({ gateways: 1 });
	await expect(look({ keys: ["bbbbbbbb"] })).rejects.toThrow(/can't be of this stack: .*gw_1.*BERTH_SECRETS_KEY/);
	await expect(look({ stack: "22222222" })).rejects.toThrow(/stack 22222222 here, and of stack 11111111 for gw_1/);
	await expect(look({ payloads: "another" })).rejects.toThrow("BERTH_PAYLOAD_STORE");
});

test("what waits for a drained node isn't left to its next start, which takes nothing either", async () => {
	const changes: string[] = [];
	const nodes = await directory((_, { reason }) => changes.push(reason));
	const a = await member("a");
	await a.setDrained(true);
	await a.drain(true);
	await a.leave();
	await expect.poll(() => nodes.nodes()).toEqual([]);
	// One that was killed: its lease is there still.
	await server.client((redis) =>
		redis
			.multi()
			.set(nodeLeaseOf("a"), JSON.stringify({ id: "a", incarnation: "2", startedAtMs: 1, draining: true }), "PX", 60_000)
			.sadd(NODE_IDS, "a")
			.exec(),
	);
	await expect.poll(() => nodes.nodes()).toMatchObject([{ incarnation: "2" }]);
	await member("a", "3");
	await expect.poll(() => nodes.nodes()).toMatchObject([{ incarnation: "3", draining: true }]);
	expect(changes).toEqual(["draining", "abandoned", "abandoned"]);
});

test("a node that stops can't be told to take work again, but to take none after its next start", async () => {
	const nodes = await directory();
	const a = await member("a");
	await expect.poll(() => ids(nodes)).toEqual(["a"]);
	await a.drain(true);
	await expect(a.setDrained(false)).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("stops") });
	await expect.poll(() => nodes.nodes()).toMatchObject([{ draining: true, returns: true }]);
	await a.setDrained(true);
	await a.leave();
	await expect.poll(() => nodes.nodes()).toEqual([]);
	expect((await member("a", "2")).isDraining).toBe(true);
});
