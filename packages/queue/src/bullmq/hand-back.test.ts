import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { HandedBackError } from "../handed-back.js";
import { NODE_NEWS, unbegunOf } from "../keys.js";
import { openInvocationQueue, openInvocationSource } from "../open.js";
import type { Delivery, DeliveryHandler } from "../ports.js";
import { echo, FUNCTION_RECORDS, Lanes, NODE, requestOf, settlementOf } from "../testing/lanes.js";

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

/** A handler that begins what it may and holds it, and one that waits for a sandbox for good, until it is handed back. */
function node() {
	const ran: string[] = [];
	const end = Promise.withResolvers<void>();
	const run: DeliveryHandler = async (delivery) => {
		if (!(await delivery.begin())) throw new HandedBackError();
		ran.push(delivery.request.id);
		await end.promise;
		return await echo(delivery);
	};
	const wait: DeliveryHandler = async (delivery: Delivery) => {
		await new Promise<void>((resolve) => delivery.cancelled.addEventListener("abort", () => resolve()));
		if (await delivery.begin()) throw new Error("it is this node's still");
		throw new HandedBackError();
	};
	return { ran, end, run, wait };
}

/** That so many are marked as not begun. */
async function marked(count: number): Promise<void> {
	const marks = () =>
		lanes.server.client(async (redis) => {
			const keys = await redis.keys(unbegunOf("*"));
			const owners = await Promise.all(keys.map((key) => redis.hvals(key)));
			return owners.flat().filter((owner) => owner.startsWith("free:")).length;
		});
	await expect.poll(marks).toBe(count);
}

const LEFT = { code: "unavailable", name: "BerthError" };

describe("a worker that drains", () => {
	test("ends what it has begun, and gives its gateway back what waits for a place or a sandbox", async () => {
		const gateway = await lanes.gateway();
		const { ran, end, run } = node();
		const worker = await lanes.worker(run, 2);
		const running = requestOf("runs");
		const first = gateway.run(NODE, running);
		await expect.poll(() => ran).toEqual([running.id]);
		const waiting = gateway.run(NODE, requestOf("waits"));
		await expect.poll(() => worker.totals().interactive.taken).toBe(2);
		const drained = worker.drain(10_000);
		await marked(1);
		await gateway.lookAfter(NODE, { reason: "returned", incarnation: "1" });
		await expect(waiting).rejects.toMatchObject(LEFT);
		end.resolve();
		expect(await first).toMatchObject({ result: { body: { text: "runs" } } });
		await drained;
		expect(ran).toEqual([running.id]);
		expect(gateway.interactiveTotals()).toMatchObject({ inFlight: 0 });
	});

	test("also what waits in a handler for a sandbox", async () => {
		const gateway = await lanes.gateway();
		const worker = await lanes.worker(node().wait);
		const waiting = gateway.run(NODE, requestOf());
		waiting.catch(() => undefined);
		await expect.poll(() => worker.totals().interactive.taken).toBe(1);
		await worker.drain(10_000);
		await gateway.lookAfter(NODE, { reason: "returned", incarnation: "1" });
		await expect(waiting).rejects.toMatchObject(LEFT);
		expect((await gateway.depth()).interactive).toMatchObject({ active: 0, waiting: 0 });
	});
});

test("what waits for a node that drains is placed again once, whatever the node says meanwhile", async () => {
	const gateway = await lanes.gateway();
	const { ran, end, run } = node();
	await lanes.worker(run);
	const requests = ["a", "b", "c"].map((text) => requestOf(text));
	const answers: Promise<unknown>[] = [];
	for (const request of requests) {
		answers.push(gateway.run("node_drains", request).catch(() => gateway.run(NODE, request)));
		// Each travels in a job of its own.
		await expect.poll(() => gateway.interactiveTotals().accepted).toBe(answers.length);
	}
	const settled = Promise.all(answers);
	settled.catch(() => undefined);
	await Promise.all((["draining", "returned"] as const).map((reason) => gateway.lookAfter("node_drains", { reason, incarnation: "0" })));
	await expect.poll(() => ran).toHaveLength(3);
	// What is looked after once more would be by now: all of it goes over this gateway's one connection.
	for (let turn = 0; turn < 20; turn++) await gateway.record(requests[0]?.id ?? "");
	end.resolve();
	expect(await settled).toMatchObject(["a", "b", "c"].map((text) => ({ result: { body: { text } } })));
});

describe("a worker that is gone", () => {
	test("leaves what it had begun as worker_lost, and what it hadn't to be placed again", async () => {
		const gateway = await lanes.gateway();
		const { ran, run } = node();
		await lanes.worker(run, 2);
		const begun = gateway.run(NODE, requestOf("begun"));
		await expect.poll(() => ran).toHaveLength(1);
		const waiting = gateway.run(NODE, requestOf("waits"));
		for (const one of [begun, waiting]) one.catch(() => undefined);
		await marked(1);
		await gateway.lookAfter(NODE, { reason: "abandoned", incarnation: "1" });
		await expect(begun).rejects.toMatchObject({ code: "worker_lost" });
		await expect(waiting).rejects.toMatchObject(LEFT);
	});

	test("and comes back begins nothing that its gateway has placed again", async () => {
		const gateway = await lanes.gateway();
		const { ran, end, run } = node();
		await lanes.worker(run, 2);
		const begun = gateway.run(NODE, requestOf());
		await expect.poll(() => ran).toHaveLength(1);
		const again = requestOf("again");
		const waiting = gateway.run(NODE, again);
		for (const one of [begun, waiting]) one.catch(() => undefined);
		await marked(1);
		await gateway.lookAfter(NODE, { reason: "abandoned", incarnation: "1" });
		await expect(waiting).rejects.toMatchObject(LEFT);
		end.resolve();
		// The next one shows that the place was free.
		await gateway.run(NODE, requestOf("next"));
		expect(ran).not.toContain(again.id);
		expect(await gateway.record(again.id)).toBeUndefined();
	});

	test("has what it hadn't begun run by who takes its queue, and the rest is worker_lost", async () => {
		const gateway = await lanes.gateway();
		const dying = node();
		const dead = await lanes.worker(dying.run, 2);
		const begun = gateway.run(NODE, requestOf("begun"));
		await expect.poll(() => dying.ran).toHaveLength(1);
		const waiting = gateway.run(NODE, requestOf("waits"));
		for (const one of [begun, waiting]) one.catch(() => undefined);
		await marked(1);
		// Its locks end by themselves.
		await dead.close();
		await lanes.worker(echo, 2, undefined, "2");
		expect(await waiting).toMatchObject({ result: { body: { text: "waits" } } });
		await expect(begun).rejects.toMatchObject({ code: "worker_lost" });
	}, 20_000);

	test("leaves what its next worker hands back too, before it begins it, to be placed again", async () => {
		const gateway = await lanes.gateway();
		const [dying, next] = [node(), node()];
		const dead = await lanes.worker(dying.run, 2);
		const begun = gateway.run(NODE, requestOf("begun"));
		await expect.poll(() => dying.ran).toHaveLength(1);
		const waiting = gateway.run(NODE, requestOf("waits"));
		for (const one of [begun, waiting]) one.catch(() => undefined);
		await marked(1);
		await dead.close();
		const worker = await lanes.worker(next.wait, 2, undefined, "2");
		await expect(begun).rejects.toMatchObject({ code: "worker_lost" });
		await expect.poll(() => worker.totals().interactive.taken).toBe(2);
		await worker.drain(10_000);
		await gateway.lookAfter(NODE, { reason: "returned", incarnation: "2" });
		await expect(waiting).rejects.toMatchObject(LEFT);
	}, 20_000);

	test("isn't known not to have begun what it had when Redis was started again", async () => {
		const gateway = await lanes.gateway();
		const { ran, run } = node();
		await lanes.worker(run, 2);
		const begun = gateway.run(NODE, requestOf());
		await expect.poll(() => ran).toHaveLength(1);
		const waiting = gateway.run(NODE, requestOf());
		for (const one of [begun, waiting]) one.catch(() => undefined);
		await marked(1);
		await lanes.server.client(async (redis) => {
			for (const key of await redis.keys(unbegunOf("*")))
				for (const id of await redis.hkeys(key)) await redis.hset(key, id, "free:anotherstart");
		});
		await gateway.lookAfter(NODE, { reason: "abandoned", incarnation: "1" });
		await expect(waiting).rejects.toMatchObject({ code: "worker_lost" });
	});
});

test("what begins at once leaves no mark, and what waited and was run takes its own away", async () => {
	const gateway = await lanes.gateway();
	const { ran, end, run } = node();
	await lanes.worker(run, 2);
	const answers = [gateway.run(NODE, requestOf())];
	await expect.poll(() => ran).toHaveLength(1);
	answers.push(gateway.run(NODE, requestOf()));
	await marked(1);
	end.resolve();
	await Promise.all(answers);
	await expect.poll(() => lanes.server.client((redis) => redis.keys(unbegunOf("*")))).toEqual([]);
});

test("what a node has taken is its own until it hands it back, though it drains", async () => {
	const gateway = await lanes.gateway();
	const { ran, end, run } = node();
	await lanes.worker(run, 2);
	const answers = [gateway.run(NODE, requestOf("runs"))];
	await expect.poll(() => ran).toHaveLength(1);
	answers.push(gateway.run(NODE, requestOf("waits")));
	for (const one of answers) one.catch(() => undefined);
	await marked(1);
	await gateway.lookAfter(NODE, { reason: "draining", incarnation: "1" });
	await marked(1);
	end.resolve();
	expect(await Promise.all(answers)).toMatchObject(["runs", "waits"].map((text) => ({ result: { body: { text } } })));
});

test("what hadn't begun by its deadline has expired in the queue, and its node begins it no more", async () => {
	const gateway = await lanes.gateway();
	const { ran, end, run } = node();
	await lanes.worker(run, 2);
	const running = gateway.run(NODE, requestOf("runs"));
	await expect.poll(() => ran).toHaveLength(1);
	const late = requestOf("late", { expiresAtMs: Date.now() + 300 });
	await expect(gateway.run(NODE, late)).rejects.toMatchObject({ code: "expired_in_queue" });
	end.resolve();
	await running;
	await gateway.run(NODE, requestOf("next"));
	expect(ran).not.toContain(late.id);
	expect(await gateway.record(late.id)).toMatchObject({ last: { code: "expired_in_queue" } });
});

test("a node whose durable Redis is away hands back what waits in its interactive lane all the same", async () => {
	await using durable = await RedisServer.start();
	const urls = { durableUrl: durable.url, fastUrl: lanes.server.url };
	const gateway = await openInvocationQueue({ ...urls, gatewayId: "gw_test", functionRecords: FUNCTION_RECORDS });
	let isAsked = false;
	const projectConcurrency = () => {
		// A job is about to be fetched.
		durable.freeze();
		isAsked = true;
		return undefined;
	};
	const worker = await openInvocationSource({ ...urls, nodeId: NODE, incarnation: "1", projectConcurrency });
	try {
		await worker.start(node().wait, 64);
		const waiting = gateway.run(NODE, requestOf());
		waiting.catch(() => undefined);
		await marked(1);
		// Frozen in the middle of it, it may not answer that any more.
		gateway.enqueue(requestOf()).catch(() => undefined);
		await expect.poll(() => isAsked).toBe(true);
		const { resting } = await lanes.server.client(async (redis) => {
			const told = new Promise((resolve) => redis.once("message", (_, text: string) => resolve(JSON.parse(text))));
			await redis.subscribe(NODE_NEWS);
			const resting = worker.rest();
			expect(await told).toMatchObject({ kind: "returned", id: NODE });
			return { resting };
		});
		await gateway.lookAfter(NODE, { reason: "returned", incarnation: "1" });
		await expect(waiting).rejects.toMatchObject(LEFT);
		durable.resume();
		await resting;
	} finally {
		durable.resume();
		await Promise.all([gateway.close(), worker.close()]);
	}
});

describe("in the background", () => {
	test("what a worker that drains hasn't begun is run by another one, as its first attempt, and what it has begun ends there", async () => {
		const gateway = await lanes.gateway();
		const { ran, end, run } = node();
		const { wait } = node();
		const [begun, waits] = [requestOf("begun", { function: "begins" }), requestOf("waits")];
		const worker = await lanes.worker((delivery) => (delivery.request.id === begun.id ? run : wait)(delivery));
		await Promise.all([begun, waits].map((request) => gateway.enqueue(request)));
		await expect.poll(() => ran).toEqual([begun.id]);
		await expect.poll(() => worker.totals().background.inHand).toBe(2);
		await expect.poll(async () => (await gateway.record(waits.id))?.state).toBe("running");
		const drained = worker.drain(10_000);
		await expect.poll(async () => (await gateway.record(waits.id))?.state).toBe("queued");
		expect((await gateway.record(waits.id))?.background).toMatchObject({ attempts: [], attempt: 0 });
		await lanes.worker(echo, 64, undefined, "2");
		await expect.poll(async () => (await gateway.record(waits.id))?.state).toBe("settled");
		const record = await gateway.record(waits.id);
		expect(record?.background).toMatchObject({ attempts: [{ attempt: 1, outcome: "succeeded" }], attemptCount: 1 });
		end.resolve();
		await drained;
		expect((await gateway.record(begun.id))?.last).toMatchObject({ attempt: 1, outcome: "succeeded" });
		expect(await gateway.backgroundTotals()).toEqual({ accepted: 2, settled: 2, dead: 0, inFlight: 0 });
	});

	test("what was cancelled while it waited there isn't handed back, but ends as that", async () => {
		const gateway = await lanes.gateway();
		const request = requestOf();
		const worker = await lanes.worker(async ({ cancelled, begin }) => {
			await new Promise<void>((resolve) => cancelled.addEventListener("abort", () => resolve()));
			if (!(await begin())) throw new HandedBackError();
			return settlementOf("cancelled");
		});
		await gateway.enqueue(request);
		await expect.poll(async () => (await gateway.record(request.id))?.state).toBe("running");
		await gateway.cancelBackground(request.id, request);
		await worker.drain(10_000);
		expect((await gateway.record(request.id))?.background).toMatchObject({ outcome: "cancelled", attemptCount: 1 });
	});
});

test("a node that rests hands back what it hasn't begun, takes nothing in either lane, and goes on when it is told to", async () => {
	const gateway = await lanes.gateway();
	const { ran, end, run } = node();
	const worker = await lanes.worker(run, 2);
	const begun = gateway.run(NODE, requestOf("begun"));
	await expect.poll(() => ran).toHaveLength(1);
	const waiting = gateway.run(NODE, requestOf("waits"));
	waiting.catch(() => undefined);
	await marked(1);
	await worker.rest();
	await gateway.lookAfter(NODE, { reason: "returned", incarnation: "1" });
	await expect(waiting).rejects.toMatchObject(LEFT);
	const later = requestOf("later");
	await gateway.enqueue(later);
	end.resolve();
	expect(await begun).toMatchObject({ result: { body: { text: "begun" } } });
	// What is looked at once a second, and at once when it is told of, has been passed by.
	await expect.poll(async () => (await gateway.depth()).background).toMatchObject({ active: 0, waiting: 1 });
	expect(ran).toHaveLength(1);
	worker.resume();
	await expect.poll(async () => (await gateway.record(later.id))?.state).toBe("settled");
	expect(await gateway.run(NODE, requestOf("again"))).toMatchObject({ result: { body: { text: "again" } } });
});

test("a node that rests before it starts takes nothing of either lane until it is told to", async () => {
	const gateway = await lanes.gateway();
	const source = await openInvocationSource({ durableUrl: lanes.server.url, fastUrl: lanes.server.url, nodeId: NODE, incarnation: "1" });
	try {
		const [interactive, background] = [requestOf("interactive"), requestOf("background")];
		await gateway.enqueue(background);
		const answer = gateway.run(NODE, interactive);
		await source.rest();
		await source.start(echo, 8);
		// Another function's news are passed by, too, and who listens has heard them.
		await gateway.enqueue(requestOf("later", { function: "another" }));
		expect((await gateway.depth()).background).toMatchObject({ active: 0, waiting: 2 });
		expect(source.totals()).toMatchObject({ interactive: { taken: 0 }, background: { taken: 0 } });
		source.resume();
		expect(await answer).toMatchObject({ result: { body: { text: "interactive" } } });
		await expect.poll(() => source.totals()).toMatchObject({ interactive: { taken: 1 }, background: { taken: 2 } });
	} finally {
		await source.close();
	}
});
