import { type InvocationRequest, newId } from "@berth/contracts";
import { openRedis } from "@berth/redis";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { InteractiveRecords } from "../interactive-records.js";
import { CANCEL_QUESTIONS } from "../keys.js";
import { openInvocationQueue } from "../open.js";
import type { DeliveryHandler } from "../ports.js";
import { echo, FUNCTION_RECORDS, Lanes, NODE, requestOf, settlementOf } from "../testing/lanes.js";

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

test("an invocation is run once and its answer comes back; the record has the attempt and not the answer", async () => {
	const gateway = await lanes.gateway();
	await lanes.worker(echo);
	const request = requestOf("hello");
	const settlement = await gateway.run(NODE, request);
	expect(settlement).toMatchObject({ attempt: { attempt: 1, outcome: "succeeded" }, result: { body: { text: "hello" } } });
	const record = await gateway.record(request.id);
	expect(record).toMatchObject({ id: request.id, lane: "interactive", state: "settled", last: { outcome: "succeeded" } });
	expect(record).not.toHaveProperty("result");
});

test("many at once each get their own answer, and every one is accounted for", async () => {
	const gateway = await lanes.gateway();
	await lanes.worker(echo);
	const texts = Array.from({ length: 300 }, (_, i) => `n${i}`);
	const answers = await Promise.all(texts.map((text) => gateway.run(NODE, requestOf(text))));
	expect(answers.map(({ result }) => result?.body)).toEqual(texts.map((text) => ({ text })));
	expect(gateway.interactiveTotals()).toEqual({ accepted: 300, settled: 300, dead: 0, inFlight: 0 });
});

test("what runs is in flight", async () => {
	const gateway = await lanes.gateway();
	const began = Promise.withResolvers<void>();
	const end = Promise.withResolvers<void>();
	await lanes.worker(async (delivery) => {
		began.resolve();
		await end.promise;
		return await echo(delivery);
	});
	const answer = gateway.run(NODE, requestOf());
	await began.promise;
	await expect.poll(() => gateway.interactiveTotals()).toEqual({ accepted: 1, settled: 0, dead: 0, inFlight: 1 });
	expect((await gateway.depth()).interactive).toMatchObject({ active: 1, waiting: 0 });
	end.resolve();
	await answer;
});

test("what a handler of ours throws is the platform's error, recorded under its code", async () => {
	const gateway = await lanes.gateway();
	await lanes.worker(() => Promise.reject(new Error("out of luck")));
	expect(await gateway.run(NODE, requestOf())).toMatchObject({ attempt: { outcome: "platform_error", code: "platform_error" } });
});

describe("a deadline that passes in the queue", () => {
	test("is expired_in_queue, and the invocation never runs", async () => {
		const gateway = await lanes.gateway();
		const request = requestOf("", { expiresAtMs: Date.now() + 50 });
		await expect(gateway.run(NODE, request)).rejects.toMatchObject({ code: "expired_in_queue" });
		expect(await gateway.record(request.id)).toMatchObject({ last: { outcome: "platform_error", code: "expired_in_queue" } });
		expect(gateway.interactiveTotals()).toEqual({ accepted: 1, settled: 0, dead: 1, inFlight: 0 });
		const ran: string[] = [];
		await lanes.worker(async (delivery) => {
			ran.push(delivery.request.id);
			return await echo(delivery);
		});
		await gateway.run(NODE, requestOf());
		expect(ran).not.toContain(request.id);
	});

	test("is found by the worker, too", async () => {
		const gateway = await lanes.gateway();
		const release = Promise.withResolvers<void>();
		await lanes.worker(async (delivery) => {
			await release.promise;
			return await echo(delivery);
		}, 2);
		const first = gateway.run(NODE, requestOf("first"));
		const second = gateway.run(NODE, requestOf("second", { expiresAtMs: Date.now() + 20 }));
		setTimeout(() => release.resolve(), 60);
		await expect(second).rejects.toMatchObject({ code: "expired_in_queue" });
		await first;
	});
});

describe("a node that is gone", () => {
	test("takes what it had begun with it as worker_lost, and a settlement that comes later loses", async () => {
		const gateway = await lanes.gateway();
		const began = Promise.withResolvers<void>();
		const end = Promise.withResolvers<void>();
		const worker = await lanes.worker(async (delivery) => {
			began.resolve();
			await end.promise;
			return await echo(delivery);
		});
		const request = requestOf();
		const answer = gateway.run(NODE, request);
		answer.catch(() => undefined);
		await began.promise;
		await gateway.lookAfter(NODE, { reason: "abandoned", incarnation: "1" });
		await expect(answer).rejects.toMatchObject({ code: "worker_lost" });
		end.resolve();
		await expect.poll(() => worker.totals().interactive.stale).toBe(1);
		expect(await gateway.record(request.id)).toMatchObject({ last: { code: "worker_lost" } });
		expect(gateway.interactiveTotals()).toEqual({ accepted: 1, settled: 0, dead: 1, inFlight: 0 });
	});

	test("gives back what it never took as unavailable", async () => {
		const gateway = await lanes.gateway();
		const answer = gateway.run(NODE, requestOf());
		answer.catch(() => undefined);
		await expect.poll(() => gateway.interactiveTotals().accepted).toBe(1);
		await gateway.lookAfter(NODE, { reason: "abandoned", incarnation: "1" });
		await expect(answer).rejects.toMatchObject({ code: "unavailable" });
		expect((await gateway.depth()).interactive.waiting).toBe(0);
	});

	test("also gives back what was on its way there", async () => {
		const gateway = await lanes.gateway();
		const answer = gateway.run(NODE, requestOf());
		answer.catch(() => undefined);
		await Promise.resolve();
		await gateway.lookAfter(NODE, { reason: "abandoned", incarnation: "1" });
		await expect(answer).rejects.toMatchObject({ code: "unavailable" });
	});
});

describe("a node that changed", () => {
	/** An invocation that a worker of this incarnation has begun, and how to end it. */
	async function begun(incarnation: string) {
		const gateway = await lanes.gateway();
		const began = Promise.withResolvers<void>();
		const end = Promise.withResolvers<void>();
		const handler: DeliveryHandler = async (delivery) => {
			began.resolve();
			await end.promise;
			return await echo(delivery);
		};
		await lanes.worker(handler, 2, undefined, incarnation);
		const answer = gateway.run(NODE, requestOf("well"));
		answer.catch(() => undefined);
		await began.promise;
		return { gateway, answer, end };
	}

	test("and drains is let finish what it has; what it hadn't taken comes back as unavailable", async () => {
		const { gateway, answer, end } = await begun("1");
		const waiting = [gateway.run(NODE, requestOf()), gateway.run(NODE, requestOf())];
		for (const one of waiting) one.catch(() => undefined);
		await expect.poll(() => gateway.interactiveTotals().accepted).toBe(3);
		await gateway.lookAfter(NODE, { reason: "draining", incarnation: "1" });
		end.resolve();
		await expect(answer).resolves.toMatchObject({ attempt: { outcome: "succeeded" } });
		// One of them may be in the worker's hands already: that one is run.
		for (const one of await Promise.allSettled(waiting)) {
			if (one.status === "rejected") expect(one.reason).toMatchObject({ code: "unavailable" });
		}
	});

	test("and started again loses what the incarnation before had, and not what the new one has taken", async () => {
		const { gateway, answer, end } = await begun("2");
		await gateway.lookAfter(NODE, { reason: "restarted", incarnation: "1" });
		await gateway.lookAfter(NODE, { reason: "abandoned", incarnation: "1" });
		end.resolve();
		await expect(answer).resolves.toMatchObject({ attempt: { outcome: "succeeded" } });
	});

	test("and started again is given what nobody had taken", async () => {
		const gateway = await lanes.gateway();
		const answer = gateway.run(NODE, requestOf("well"));
		await expect.poll(() => gateway.interactiveTotals().accepted).toBe(1);
		await gateway.lookAfter(NODE, { reason: "restarted", incarnation: "1" });
		await lanes.worker(echo, 2, undefined, "2");
		await expect(answer).resolves.toMatchObject({ attempt: { outcome: "succeeded" } });
	});
});

test("of two settlements of one invocation the first counts, and only it is answered", async () => {
	const [redis] = await openRedis([{ url: lanes.server.url, use: "patient", name: "test" }]);
	const records = new InteractiveRecords(redis);
	const request = requestOf();
	const settle = (outcome: "succeeded" | "timed_out") =>
		records.settle([{ request, settlement: settlementOf(outcome), replyTo: "berth:reply:gw_none" }]);
	expect(await settle("timed_out")).toEqual([true]);
	expect(await settle("succeeded")).toEqual([false]);
	expect(await records.takeMail("berth:reply:gw_none")).toHaveLength(1);
	expect((await records.read([request.id]))[0]).toMatchObject({ last: { outcome: "timed_out" } });
	await redis.quit();
});

test("records stay under their budget: the oldest go", async () => {
	const [redis] = await openRedis([{ url: lanes.server.url, use: "patient", name: "test" }]);
	const records = new InteractiveRecords(redis, { successBytes: 5000, otherBytes: 5000 });
	const ids: string[] = [];
	for (let i = 0; i < 40; i++) {
		// Ten seconds apart: a bucket each.
		const request = requestOf("", { id: newId("inv", Date.now() - (40 - i) * 10_000) });
		ids.push(request.id);
		await records.settle([{ request, settlement: settlementOf("succeeded"), replyTo: "nobody" }]);
	}
	const kept = (await records.read(ids)).map((record) => record !== undefined);
	expect(kept.at(-1)).toBe(true);
	expect(kept[0]).toBe(false);
	expect(kept.lastIndexOf(false)).toBeLessThan(kept.indexOf(true));
	await redis.quit();
});

describe("while Redis is away", () => {
	test("an answer that nobody heard is found when it is heard again", async () => {
		const gateway = await lanes.gateway();
		await lanes.worker(async (delivery) => {
			await lanes.server.client((redis) => redis.call("CLIENT", "KILL", "TYPE", "pubsub"));
			return await echo(delivery);
		});
		expect(await gateway.run(NODE, requestOf("kept"))).toMatchObject({ result: { body: { text: "kept" } } });
	});

	test("nothing is accepted, and afterwards everything works again", async () => {
		const gateway = await lanes.gateway();
		await lanes.server.kill();
		// What it sends before it has seen that the server is gone may have arrived, for all that it knows.
		await expect
			.poll(() =>
				gateway.tryFast().then(
					() => "there",
					() => "away",
				),
			)
			.toBe("away");
		await expect(gateway.run(NODE, requestOf("lost"))).rejects.toMatchObject({ code: "unavailable" });
		await lanes.server.start();
		const ran: InvocationRequest[] = [];
		await lanes.worker(async (delivery) => {
			ran.push(delivery.request);
			return await echo(delivery);
		});
		await expect
			.poll(() =>
				gateway.run(NODE, requestOf("back")).then(
					({ result }) => result?.body,
					() => undefined,
				),
			)
			.toEqual({ text: "back" });
		expect(ran.map(({ body }) => body)).toEqual([{ text: "back" }]);
	});

	test("what was refused while it was silent doesn't run when it goes on, however quick a worker is", async () => {
		const gateway = await lanes.gateway();
		const ran: InvocationRequest[] = [];
		await lanes.worker(async (delivery) => {
			ran.push(delivery.request);
			return await echo(delivery);
		});
		await gateway.run(NODE, requestOf("before"));
		lanes.server.freeze();
		await Promise.all(
			Array.from({ length: 20 }, () => expect(gateway.run(NODE, requestOf("doubtful"))).rejects.toMatchObject({ code: "in_doubt" })),
		);
		lanes.server.resume();
		const answered = () => gateway.run(NODE, requestOf("after")).catch(() => undefined);
		await expect.poll(answered, { timeout: 10_000 }).toMatchObject({ result: { body: { text: "after" } } });
		expect(new Set(ran.map(({ body }) => "text" in body && body.text))).toEqual(new Set(["before", "after"]));
		expect(gateway.interactiveTotals()).toMatchObject({ inFlight: 0 });
	});

	test("a worker goes on when it is back", async () => {
		const gateway = await lanes.gateway();
		await lanes.worker(echo);
		await gateway.run(NODE, requestOf("before"));
		await lanes.server.kill();
		await lanes.server.start();
		const again = () =>
			gateway.run(NODE, requestOf("after")).then(
				({ result }) => result?.body,
				() => undefined,
			);
		await expect.poll(again, { timeout: 10_000 }).toEqual({ text: "after" });
	});
});

describe("a cancellation by id", () => {
	test("reaches the gateway that waits, whichever is asked, for its own project alone", async () => {
		const [waits, asked] = [await lanes.gateway(), await lanes.gateway()];
		await lanes.worker(async ({ cancelled }) => {
			await new Promise<void>((resolve) => cancelled.addEventListener("abort", () => resolve()));
			return settlementOf("cancelled");
		});
		const request = requestOf();
		const answer = waits.run(NODE, request);
		expect(await asked.cancelAnywhere(request.id, "another")).toBe(false);
		expect(await asked.cancelAnywhere(newId("inv"), "default")).toBe(false);
		expect(await asked.cancelAnywhere(request.id, "default")).toBe(true);
		expect(await answer).toMatchObject({ attempt: { outcome: "cancelled" } });
		expect(await asked.cancelAnywhere(request.id, "default")).toBe(false);
	});

	test("isn't said to be of nobody while a gateway that may wait for it says nothing", async () => {
		const asked = await lanes.gateway();
		const [deaf] = await openRedis([{ url: lanes.server.url, use: "subscriber", name: "deaf" }]);
		try {
			await deaf.subscribe(CANCEL_QUESTIONS);
			await expect(asked.cancelAnywhere(newId("inv"), "default")).rejects.toMatchObject({ code: "unavailable" });
		} finally {
			deaf.disconnect();
		}
	});
});

describe("a caller that goes away", () => {
	test("aborts the signal of what runs; the settlement stands", async () => {
		const gateway = await lanes.gateway();
		const began = Promise.withResolvers<void>();
		await lanes.worker(async ({ cancelled }) => {
			began.resolve();
			await new Promise<void>((resolve) => cancelled.addEventListener("abort", () => resolve()));
			return settlementOf("cancelled");
		});
		const request = requestOf();
		const answer = gateway.run(NODE, request);
		await began.promise;
		gateway.cancel(request.id, "left");
		expect(await answer).toMatchObject({ attempt: { outcome: "cancelled" } });
		expect(await gateway.record(request.id)).toMatchObject({ last: { outcome: "cancelled" } });
		expect(gateway.interactiveTotals()).toEqual({ accepted: 1, settled: 1, dead: 0, inFlight: 0 });
	});

	test("drops what waits without a start", async () => {
		const gateway = await lanes.gateway();
		const end = Promise.withResolvers<void>();
		const ran: string[] = [];
		await lanes.worker(async (delivery) => {
			ran.push(delivery.request.id);
			await end.promise;
			return await echo(delivery);
		}, 2);
		const [first, second] = [requestOf(), requestOf()];
		const running = gateway.run(NODE, first);
		const waiting = gateway.run(NODE, second);
		await expect.poll(() => ran).toEqual([first.id]);
		gateway.cancel(second.id, "left");
		expect(await waiting).toMatchObject({
			attempt: { outcome: "cancelled", code: "cancelled", error: { message: "its caller went away before it began" } },
		});
		end.resolve();
		await running;
		expect(ran).toEqual([first.id]);
	});

	test("costs no worker anything where its invocation isn't in the queue yet", async () => {
		const gateway = await lanes.gateway();
		await lanes.worker(echo);
		const [left, stays] = [requestOf(), requestOf("stays")];
		const answers = [gateway.run(NODE, left), gateway.run(NODE, stays)];
		expect(gateway.cancel(left.id, "left")).toBe(true);
		await expect(answers[0]).rejects.toMatchObject({ code: "cancelled" });
		expect(await answers[1]).toMatchObject({ result: { body: { text: "stays" } } });
		expect(gateway.interactiveTotals()).toEqual({ accepted: 1, settled: 1, dead: 0, inFlight: 0 });
		expect(await gateway.record(left.id)).toBeUndefined();
	});

	test("may do so before a worker has heard of it", async () => {
		const gateway = await lanes.gateway();
		const source = await lanes.worker(() => Promise.reject(new Error("nothing is to run")), 2);
		await source.drain(1000);
		const request = requestOf();
		const answer = gateway.run(NODE, request);
		await expect.poll(() => gateway.interactiveTotals().accepted).toBe(1);
		gateway.cancel(request.id, "left");
		gateway.cancel("inv_unknown", "left");
		await gateway.lookAfter(NODE, { reason: "abandoned", incarnation: "1" });
		await expect(answer).rejects.toMatchObject({ code: "unavailable" });
	});
});

test("a gateway that closes without having given up says of what it never sent that nothing of it was run", async () => {
	const { server } = lanes;
	const urls = { durableUrl: server.url, fastUrl: server.url };
	const gateway = await openInvocationQueue({ ...urls, gatewayId: newId("gw"), functionRecords: FUNCTION_RECORDS });
	await server.kill();
	try {
		// By then its connection is known to be gone.
		await expect(gateway.run(NODE, requestOf())).rejects.toThrow();
		const unsent = expect(gateway.run(NODE, requestOf())).rejects.toMatchObject({
			code: "unavailable",
			message: "the gateway stops; nothing of it was run",
		});
		await gateway.close();
		await unsent;
	} finally {
		await server.start();
	}
});

test("a worker that drains ends what it has and takes nothing more", async () => {
	const gateway = await lanes.gateway();
	const began = Promise.withResolvers<void>();
	const end = Promise.withResolvers<void>();
	const worker = await lanes.worker(async (delivery) => {
		began.resolve();
		await end.promise;
		return await echo(delivery);
	});
	const first = gateway.run(NODE, requestOf("first"));
	await began.promise;
	const drained = worker.drain(10_000);
	const second = gateway.run(NODE, requestOf("second"));
	second.catch(() => undefined);
	end.resolve();
	expect(await first).toMatchObject({ result: { body: { text: "first" } } });
	await drained;
	await lanes.worker(echo);
	expect(await second).toMatchObject({ result: { body: { text: "second" } } });
});
