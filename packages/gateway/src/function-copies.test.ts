import { afterAll, beforeAll, expect, test } from "vitest";
import { FunctionCopies } from "./function-copies.js";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack();
});
afterAll(() => stack?.close());

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

		await stack.redis.kill();
		await copies.run();
		await stack.redis.start();
		await stack.redis.empty();
		await copies.run();
		expect(await copied("hello")).toMatchObject({ aliases: [{ weights: { 1: 90, 2: 10 } }, { name: "next" }] });
	} finally {
		await copies.stop();
	}
});
