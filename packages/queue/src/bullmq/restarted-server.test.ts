import { type BerthError, newId } from "@berth/contracts";
import { closeRedis, openRedis } from "@berth/redis";
import { SlowProxy } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { HandedBackError } from "../handed-back.js";
import { NODE_QUEUES, unbegunOf } from "../keys.js";
import { NodeReaper } from "../node-reaper.js";
import { openInvocationQueue } from "../open.js";
import type { DeliveryHandler } from "../ports.js";
import { echo, FUNCTION_RECORDS, Lanes, NODE, requestOf } from "../testing/lanes.js";
import { Unbegun } from "../unbegun.js";
import { Beginnings } from "./beginnings.js";

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

/** Notes what begins, and ends it when it is told to. */
function runs() {
	const ran: string[] = [];
	const end = Promise.withResolvers<void>();
	const handler: DeliveryHandler = async (delivery) => {
		if (!(await delivery.begin())) throw new HandedBackError();
		ran.push(delivery.request.id);
		await end.promise;
		return await echo(delivery);
	};
	return { ran, end, handler };
}

/** An invocation in the queue of a node without a worker, as it was when the server's newest write reached its disk; and what its caller is told. */
async function waiting() {
	const gateway = await lanes.gateway();
	const request = requestOf("once");
	const told = gateway.run(NODE, request).then(
		({ attempt }) => attempt.outcome,
		(error: BerthError) => error.code,
	);
	await expect.poll(() => gateway.interactiveTotals().accepted).toBe(1);
	await lanes.server.keep();
	return { gateway, request, told };
}

/** The same, begun by a worker that died, of which the server knows nothing any more. */
async function begunAndForgotten() {
	const asked = await waiting();
	const { ran, handler } = runs();
	const dying = await lanes.worker(handler);
	await expect.poll(() => ran).toEqual([asked.request.id]);
	await dying.close();
	await lanes.server.loseSinceKept();
	return asked;
}

/** That gateway and workers have found a server again, and what it had. */
async function goesOn(gateway: Awaited<ReturnType<Lanes["gateway"]>>): Promise<void> {
	const answered = () => gateway.run(NODE, requestOf("after")).catch(() => undefined);
	await expect.poll(answered, { timeout: 10_000 }).toMatchObject({ result: { body: { text: "after" } } });
}

describe("of a server that comes back without its newest writes", () => {
	test("a worker doesn't begin once more what it has begun, and who waits is told that it may have", async () => {
		const { gateway, request, told } = await waiting();
		const { ran, end, handler } = runs();
		await lanes.worker(handler);
		await expect.poll(() => ran).toEqual([request.id]);
		await lanes.server.loseSinceKept();
		expect(await told).toBe("worker_lost");
		end.resolve();
		await goesOn(gateway);
		expect(ran.filter((id) => id === request.id)).toHaveLength(1);
	});

	test("nor what was answered, whose record isn't made another one", async () => {
		const { gateway, request, told } = await waiting();
		const { ran, end, handler } = runs();
		end.resolve();
		await lanes.worker(handler);
		expect(await told).toBe("succeeded");
		await lanes.server.loseSinceKept();
		await goesOn(gateway);
		await expect.poll(async () => (await gateway.depth()).interactive).toMatchObject({ waiting: 0, active: 0 });
		expect(ran.filter((id) => id === request.id)).toHaveLength(1);
		expect(await gateway.record(request.id)).toBeUndefined();
	});

	test("nor does the node's next worker, though it never saw it", async () => {
		const { gateway, request, told } = await begunAndForgotten();
		const next = runs();
		next.end.resolve();
		await lanes.worker(next.handler, 64, undefined, "2");
		expect(await told).toBe("worker_lost");
		await goesOn(gateway);
		expect(next.ran).not.toContain(request.id);
	});

	test.each(["abandoned", "draining"] as const)("what waits there for a node that is %s isn't placed again", async (reason) => {
		const { gateway, told } = await begunAndForgotten();
		await expect.poll(() => gateway.tryFast().then(() => true)).toBe(true);
		await gateway.lookAfter(NODE, { reason, incarnation: "1" });
		expect(await told).toBe("worker_lost");
	});

	test("what is left of a node that doesn't come back isn't said never to have begun", async () => {
		const gateway = await lanes.gateway();
		const request = requestOf();
		// Nobody hears that the server is back: its gateway is gone.
		gateway.run(NODE, request).catch(() => undefined);
		await expect.poll(() => gateway.interactiveTotals().accepted).toBe(1);
		await gateway.close();
		await lanes.server.client((redis) => redis.zadd(NODE_QUEUES, Date.now(), NODE));
		await lanes.server.keep();
		await lanes.server.loseSinceKept();
		const other = await lanes.gateway();
		const [redis] = await openRedis([{ url: lanes.server.url, use: "command", name: "test" }]);
		const log = { debug() {}, info() {}, warn() {}, error() {} };
		const reaper = new NodeReaper({ redis, gatewayId: newId("gw"), log, timing: { everyMs: 60_000, leaseMs: 15_000, goneMs: 0 } });
		try {
			await reaper.look();
			await reaper.look();
			expect(await redis.zrange(NODE_QUEUES, "0", "-1")).toEqual([]);
			expect(await other.record(request.id)).toBeUndefined();
		} finally {
			await reaper.stop();
			redis.disconnect();
		}
	});
});

test("what a gateway that stops took back from a living worker isn't begun by that when its server forgot it", async () => {
	const [gateway, stays] = [await lanes.gateway(), await lanes.gateway()];
	const { ran, end, handler } = runs();
	await lanes.worker(handler, 2);
	const runsNow = gateway.run(NODE, requestOf("runs"));
	await expect.poll(() => ran).toHaveLength(1);
	const waits = requestOf("waits");
	const told = Promise.allSettled([runsNow, gateway.run(NODE, waits)]);
	await expect.poll(() => lanes.server.client((redis) => redis.keys(unbegunOf("*")))).toHaveLength(1);
	await lanes.server.keep();
	await gateway.giveUp();
	expect(await told).toMatchObject([{ reason: { code: "worker_lost" } }, { reason: { code: "unavailable" } }]);
	await lanes.server.loseSinceKept();
	end.resolve();
	await goesOn(stays);
	expect(ran).not.toContain(waits.id);
});

describe("a job whose answer was lost with its server", () => {
	test.each(["empty", "as it was before"] as const)("is taken for begun when that is %s", async (state) => {
		await using proxy = await SlowProxy.before(lanes.server.url.slice("unix://".length));
		const far = `redis://127.0.0.1:${proxy.port}`;
		const gateway = await openInvocationQueue({ durableUrl: far, fastUrl: far, gatewayId: "gw_far", functionRecords: FUNCTION_RECORDS });
		try {
			const { ran, handler } = runs();
			await lanes.worker(handler);
			// With the clock of its server the gateway sends a job and nothing else.
			gateway.run(NODE, requestOf()).catch(() => undefined);
			await expect.poll(() => ran).toHaveLength(1);
			if (state === "empty") {
				await lanes.server.client((redis) => redis.flushall());
				await lanes.server.client((redis) => redis.call("CONFIG", "SET", "appendonly", "no"));
			}
			await lanes.server.keep();
			proxy.holdAnswers();
			const request = requestOf();
			const told = gateway.run(NODE, request).then(
				() => "succeeded",
				({ name, code }: BerthError) => `${name} ${code}`,
			);
			await expect.poll(() => ran.at(-1)).toBe(request.id);
			await lanes.server.loseSinceKept();
			proxy.passAnswers();
			expect(await told).toBe("BerthError worker_lost");
			expect(ran).toHaveLength(2);
		} finally {
			await gateway.close();
		}
	});
});

test("what was sent to it before isn't said to a server that was started again: that something hadn't begun", async () => {
	const [redis] = await openRedis([{ url: lanes.server.url, use: "patient", name: "test" }]);
	try {
		const unbegun = new Unbegun(redis);
		await unbegun.mark("job_known", ["a"], "me");
		expect(await unbegun.take("job_known", ["a"], "other", "other")).toEqual(["other"]);
		lanes.server.freeze();
		const marked = unbegun.mark("job_sent", ["a"], "me");
		await lanes.server.kill();
		await lanes.server.start();
		await marked;
		expect(await redis.hgetall(unbegunOf("job_sent"))).toEqual({});
		// What is said to this one counts.
		await unbegun.mark("job_sent", ["a"], "me");
		expect(await unbegun.take("job_sent", ["a"], "other", "other")).toEqual(["other"]);
	} finally {
		redis.disconnect();
	}
});

test("what was about to begin as its worker handed back doesn't when another one has it, though the server forgot that", async () => {
	const [ours, others] = await openRedis([
		{ url: lanes.server.url, use: "patient", name: "ours" },
		{ url: lanes.server.url, use: "patient", name: "others" },
	]);
	const log = { debug() {}, info() {}, warn() {}, error() {} };
	const beginnings = new Beginnings(new Unbegun(ours), log);
	try {
		const beginning = beginnings.hold("job_a", "a", "token");
		await expect.poll(() => lanes.server.client((redis) => redis.exists(unbegunOf("job_a")))).toBe(1);
		await lanes.server.keep();
		expect(await new Unbegun(others).take("job_a", ["a"], "gw_other", "other")).toEqual(["gw_other"]);
		lanes.server.freeze();
		const [begun, back] = [beginning.begin(), beginnings.handBack()];
		await lanes.server.loseSinceKept();
		await back;
		expect(await begun).toBe(false);
	} finally {
		beginnings.over("job_a");
		await Promise.all([ours, others].map(closeRedis));
	}
});

test("what a living worker has taken and not begun goes on when its server is back with all that it had", async () => {
	const gateway = await lanes.gateway();
	const { ran, end, handler } = runs();
	await lanes.worker(handler, 2);
	const answers = [gateway.run(NODE, requestOf("runs"))];
	await expect.poll(() => ran).toHaveLength(1);
	answers.push(gateway.run(NODE, requestOf("waits")));
	for (const answer of answers) answer.catch(() => undefined);
	await expect.poll(() => lanes.server.client((redis) => redis.keys(unbegunOf("*")))).toHaveLength(1);
	await lanes.server.kill();
	await lanes.server.start();
	end.resolve();
	expect(await Promise.all(answers)).toMatchObject(["runs", "waits"].map((text) => ({ result: { body: { text } } })));
	expect(ran).toHaveLength(2);
});
