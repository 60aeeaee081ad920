import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FunctionCopies } from "./function-copies.js";
import { type Stack, startStack } from "./testing/stack.js";

let redis: RedisServer;
let stack: Stack;
beforeAll(async () => {
	redis = await RedisServer.start();
	stack = await startStack(redis.url);
});
afterAll(async () => {
	await stack?.close();
	await redis?.[Symbol.asyncDispose]();
});

const copied = async (name: string) => (await stack.services.artifacts.functions.list()).find((one) => one.name === name);

test("functions are copied as they are, as they change, and are kept when their records are lost", async () => {
	const { functions } = stack.services;
	await stack.deploy("before");
	// As a worker finds it at its start.
	await stack.services.functions.store.find(false);
	const copies = new FunctionCopies(stack.services);
	copies.start();
	try {
		await expect.poll(() => copied("before")).toMatchObject({ live: 1, aliases: [{ name: "live", weights: { 1: 100 }, follows: true }] });
		await stack.deploy("hello");
		await stack.deploy("hello", { timeoutMs: 1000 });
		await functions.aliases.set("default", "hello", "live", { weights: { 1: 90, 2: 10 } });
		await functions.aliases.set("default", "hello", "next", { follows: true });
		await expect.poll(() => copied("hello")).toEqual(await functions.getFunction("default", "hello"));

		await redis.kill();
		await copies.run();
		await redis.start();
		await redis.empty();
		await copies.run();
		expect(await copied("hello")).toMatchObject({ aliases: [{ weights: { 1: 90, 2: 10 } }, { name: "next" }] });
	} finally {
		await copies.stop();
	}
});
