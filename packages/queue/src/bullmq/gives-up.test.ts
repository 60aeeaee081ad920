import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { HandedBackError } from "../handed-back.js";
import { echo, Lanes, NODE, requestOf, settlementOf } from "../testing/lanes.js";

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

test("a gateway that gives up says so to who waits, and has what runs cancelled", async () => {
	const gateway = await lanes.gateway();
	const [began, aborted] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
	await lanes.worker(async ({ cancelled }) => {
		began.resolve();
		await new Promise<void>((resolve) => cancelled.addEventListener("abort", () => resolve()));
		aborted.resolve();
		return settlementOf("cancelled");
	});
	const answer = gateway.run(NODE, requestOf());
	await began.promise;
	await gateway.giveUp();
	const stops = { message: expect.stringContaining("the gateway stops"), extra: { retryAfterMs: 1000 } };
	await expect(answer).rejects.toMatchObject({ ...stops, code: "worker_lost" });
	await aborted.promise;
	await expect(gateway.run(NODE, requestOf())).rejects.toMatchObject({ ...stops, code: "unavailable" });
});

describe("a gateway that gives up takes back what nobody has begun, says so, and it isn't run by anybody", () => {
	const nothingRan = { code: "unavailable", message: "the gateway stops; nothing of it was run", extra: { retryAfterMs: 1000 } };

	test("where it waits for a node that isn't there", async () => {
		const [gateway, stays] = [await lanes.gateway(), await lanes.gateway()];
		const answers = [gateway.run(NODE, requestOf()), gateway.run(NODE, requestOf())];
		await expect.poll(() => gateway.interactiveTotals().inFlight).toBe(2);
		const told = Promise.all(answers.map((answer) => expect(answer).rejects.toMatchObject(nothingRan)));
		await gateway.giveUp();
		await told;
		const ran: string[] = [];
		await lanes.worker(async (delivery) => {
			ran.push(delivery.request.id);
			return await echo(delivery);
		});
		const last = requestOf();
		await stays.run(NODE, last);
		expect(ran).toEqual([last.id]);
	});

	test("though each of its servers has it give up", async () => {
		const gateway = await lanes.gateway();
		const answer = gateway.run(NODE, requestOf());
		await expect.poll(() => gateway.interactiveTotals().inFlight).toBe(1);
		const told = expect(answer).rejects.toMatchObject(nothingRan);
		await Promise.all([gateway.giveUp(), gateway.giveUp(), gateway.giveUp()]);
		await told;
		expect((await gateway.depth()).interactive).toMatchObject({ waiting: 0 });
	});

	test("many at once, each job of them by itself and once", async () => {
		const gateway = await lanes.gateway();
		const answers = Array.from({ length: 256 }, () => gateway.run(NODE, requestOf()));
		await expect.poll(() => gateway.interactiveTotals().inFlight).toBe(answers.length);
		const { waiting: jobs } = (await gateway.depth()).interactive;
		const told = Promise.all(answers.map((answer) => expect(answer).rejects.toMatchObject(nothingRan)));
		await lanes.server.client((redis) => redis.config("RESETSTAT"));
		await gateway.giveUp();
		await told;
		const stats = await lanes.server.client((redis) => redis.info("commandstats"));
		expect(Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1])).toBeLessThan(4 * jobs);
		expect(4 * jobs).toBeLessThan(answers.length);
	});

	test("where a worker has it, that waits for a place", async () => {
		const [gateway, stays] = [await lanes.gateway(), await lanes.gateway()];
		const end = Promise.withResolvers<void>();
		const ran: string[] = [];
		await lanes.worker(async (delivery) => {
			if (!(await delivery.begin())) throw new HandedBackError();
			ran.push(delivery.request.id);
			await end.promise;
			return await echo(delivery);
		}, 2);
		const first = requestOf();
		const answer = gateway.run(NODE, first);
		await expect.poll(() => ran).toEqual([first.id]);
		const waits = gateway.run(NODE, requestOf());
		const marks = () => lanes.server.client(async (client) => (await client.keys("berth:unbegun:*")).length);
		await expect.poll(marks).toBe(1);
		const told = Promise.all([
			expect(waits).rejects.toMatchObject(nothingRan),
			expect(answer).rejects.toMatchObject({ code: "worker_lost" }),
		]);
		await gateway.giveUp();
		await told;
		end.resolve();
		const last = requestOf();
		await stays.run(NODE, last);
		expect(ran).toEqual([first.id, last.id]);
	});

	test("and says of all that it may have begun where Redis doesn't answer", async () => {
		const gateway = await lanes.gateway();
		const answer = gateway.run(NODE, requestOf());
		await expect.poll(() => gateway.interactiveTotals().inFlight).toBe(1);
		lanes.server.freeze();
		const told = expect(answer).rejects.toMatchObject({ code: "worker_lost" });
		await gateway.giveUp();
		await told;
	});
});
