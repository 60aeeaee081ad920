import { BerthError } from "@berth/contracts";
import { closeRedis, openRedis, type Redis } from "@berth/redis";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { InteractiveRecords } from "../interactive-records.js";
import type { Pending } from "../pending.js";
import { NODE, requestOf } from "../testing/lanes.js";
import { Unbegun } from "../unbegun.js";
import { Inquiry, LeftBehindError } from "./inquiry.js";
import { NodeQueues } from "./node-queues.js";

const log = { debug() {}, info() {}, warn() {}, error() {} };
let server: RedisServer;
let redis: Redis;
beforeAll(async () => {
	server = await RedisServer.start();
	[redis] = await openRedis([{ url: server.url, use: "command", name: "test" }]);
});
afterAll(async () => {
	await closeRedis(redis);
	await server[Symbol.asyncDispose]();
});

test("what was in doubt, and a worker had and hadn't begun, is placed again, though Redis refused the add", async () => {
	const unbegun = new Unbegun(redis);
	const request = requestOf();
	const job = "job_doubted";
	const pending: Pending = { request, node: NODE, job, sentTo: "an earlier start", accepted: false, resolve() {}, reject() {} };
	await unbegun.mark(job, [request.id], "a worker");
	const nodes = new NodeQueues(
		redis,
		log,
		async () => {},
		() => 1,
	);
	const failures: BerthError[] = [];
	const inquiry = new Inquiry({
		records: new InteractiveRecords(redis),
		unbegun,
		channel: "replies",
		gatewayId: "gw_test",
		queueOf: (node) => nodes.of(node).queue,
		start: () => "this start",
		isOpen: () => failures.length === 0,
		settled() {},
		failed: (_, error) => failures.push(error),
		stopped: () => Promise.resolve(true),
		accepted() {},
		log,
	});
	expect(await inquiry.hold([pending], "doubted", new BerthError("unavailable", "Redis refused it"))).toBe(true);
	expect(failures).toEqual([expect.any(LeftBehindError)]);
	expect(await unbegun.take(job, [request.id], "another", "other")).toEqual(["gw_test"]);
});
