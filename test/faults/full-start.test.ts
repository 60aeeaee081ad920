import { closeRedis, openRedis } from "@berth/redis";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy, fixture } from "../harness/functions.js";
import { NetRedis } from "../harness/net-redis.js";
import { Stack } from "../harness/stack.js";

let durable: NetRedis;
let stack: Stack;
beforeAll(async () => {
	durable = await NetRedis.start("always");
	stack = await Stack.start({ BERTH_DURABLE_REDIS_URL: durable.url, BERTH_PREWARMED: "1" });
});
afterAll(async () => {
	await stack?.stop();
	await durable?.[Symbol.asyncDispose]();
});

async function ask(command: string, ...args: readonly string[]): Promise<unknown> {
	const [redis] = await openRedis([{ url: durable.url, use: "patient", name: "test" }]);
	try {
		return await redis.call(command, ...args);
	} finally {
		await closeRedis(redis);
	}
}

it("a stack starts while its durable Redis is full, says so, runs what somebody waits for, and has done what was accepted when there is room", async () => {
	const deployed = await deploy(stack, { source: fixture("sleeps"), concurrency: 1 });
	await Promise.all(Array.from({ length: 3 }, () => stack.client.invokeAsync(deployed.name, { json: { ms: 1000 } })));
	await stack.down();
	await ask("CONFIG", "SET", "maxmemory", "1");
	const up = await stack.berth("up", "--detach", "--json", "--port", "0");
	const warned = expect.stringContaining("warning: durable Redis: writes: It takes no writes: OOM");
	expect(up).toEqual({ code: 0, stdout: expect.stringContaining('"url"'), stderr: warned });
	// That one has a port that the stack's client doesn't know.
	await stack.down();
	await stack.up();
	expect((await deployed.invoke({ ms: 1 })).outcome).toBe("succeeded");
	await ask("CONFIG", "SET", "maxmemory", "0");
	// While it is full, records of what is done go before their time: what was done it counts.
	await eventually(
		async () => expect(await ask("HMGET", "berth:totals:background", "accepted", "settled", "dead")).toEqual(["3", "3", null]),
		60_000,
	);
});
