import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { nodeLeaseOf } from "./keys.js";
import { ClaimWatch } from "./node-claim.js";
import type { NodeInfo, NodeMembership } from "./node-ports.js";
import { openNodeMembership } from "./open.js";

const FILE = "/data/node.id";
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

const nodeOf = (incarnation: string): NodeInfo => ({ id: "a", host: `host-${incarnation}`, incarnation, startedAtMs: 1 });

async function join(incarnation: string, earlier?: string): Promise<NodeMembership> {
	const opened = await openNodeMembership({ fastUrl: server.url, claim: { earlier, file: FILE, onClash: () => undefined } });
	close.push(() => opened.leave());
	await opened.join(nodeOf(incarnation), async () => ({ kind: "done", affected: 0 }));
	return opened;
}

const leaseHolder = () => server.client(async (redis) => (JSON.parse((await redis.get(nodeLeaseOf("a"))) ?? "{}") as NodeInfo).incarnation);

test("a machine with the id of one that lives is refused, by that one's host and the file to remove, and its lease left alone", async () => {
	await join("1");
	await expect(join("2", "0")).rejects.toThrow(/^another machine \(host-1\) is the node a, too.* Remove \/data\/node\.id on the copy/);
	expect(await leaseHolder()).toBe("1");
}, 20_000);

test("a worker that was killed is back at once: the lease that is there is its own", async () => {
	const lease = JSON.stringify(nodeOf("1"));
	await server.client((redis) => redis.set(nodeLeaseOf("a"), lease, "PX", 60_000));
	await join("2", "1");
	expect(await leaseHolder()).toBe("2");
});

test("a lease that nobody renews keeps nobody away for good", async () => {
	const lease = JSON.stringify(nodeOf("1"));
	await server.client((redis) => redis.set(nodeLeaseOf("a"), lease, "PX", 600));
	await join("2");
	expect(await leaseHolder()).toBe("2");
});

function watch() {
	const told: string[] = [];
	return { told, watch: new ClaimWatch({ file: FILE, onClash: (why) => told.push(why) }) };
}
const lease = (node: NodeInfo) => JSON.stringify(node);

test("of two that renew one id in turn the later one ends, and the earlier one stays", () => {
	const [first, second] = [watch(), watch()];
	const [a, b] = [nodeOf("1"), { ...nodeOf("2"), startedAtMs: 0 }];
	first.watch.renewed(a, null);
	second.watch.renewed(b, lease(a));
	for (let turn = 0; turn < 4; turn++) {
		first.watch.renewed(a, lease({ ...b, replaced: second.watch.replaced }));
		second.watch.renewed(b, lease(a));
	}
	expect(first.told).toEqual([]);
	expect(second.told).toEqual([expect.stringContaining("another machine (host-1) is the node a, too")]);
});

test("a renewal that was on its way when its worker was killed is no clash", () => {
	const { told, watch: later } = watch();
	later.renewed(nodeOf("2"), lease(nodeOf("1")));
	later.renewed(nodeOf("2"), lease(nodeOf("1")));
	later.renewed(nodeOf("2"), lease(nodeOf("2")));
	expect(told).toEqual([]);
});

test("of two whose leases never met the one ends that started later", () => {
	const [first, second] = [watch(), watch()];
	const [a, b] = [nodeOf("1"), { ...nodeOf("2"), startedAtMs: 2 }];
	first.watch.renewed(a, null);
	second.watch.renewed(b, null);
	for (let turn = 0; turn < 3; turn++) {
		first.watch.renewed(a, lease(b));
		second.watch.renewed(b, lease(a));
	}
	expect([first.told.length, second.told.length]).toEqual([0, 1]);
});
