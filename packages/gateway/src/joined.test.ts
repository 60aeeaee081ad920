import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { INVOKING_HEADER, JOINED_HEADER } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { expect, test } from "vitest";
import { Invocations } from "./invocations.js";
import { createJoinedApp } from "./joined.js";
import { mirror } from "./testing/settlements.js";
import { startStack } from "./testing/stack.js";

test("a worker says in one way who asks: with two words, or none, nothing runs", async () => {
	await using redis = await RedisServer.start();
	const stack = await startStack(redis.url);
	const server = createServer(createJoinedApp(new Invocations(stack.services), stack.services)).listen(0, "127.0.0.1");
	await once(server, "listening");
	try {
		await stack.deploy("secret");
		let ran = 0;
		stack.onInvocation((delivery) => {
			ran++;
			return mirror(delivery);
		});
		const ask = async (headers: Record<string, string>) =>
			(await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, { method: "POST", headers })).status;
		const parent = { id: "inv_x", function: "other" };
		const invoking = JSON.stringify({ project: "default", function: "secret", parent, depth: 1, deadlineMs: 1e15, async: false });
		const joined = JSON.stringify({ project: "default", network: "shop", caller: "other", function: "secret", depth: 1 });
		expect([await ask({ [INVOKING_HEADER]: invoking, [JOINED_HEADER]: joined }), await ask({}), ran]).toEqual([400, 400, 0]);
		expect([await ask({ [INVOKING_HEADER]: invoking }), await ask({ [JOINED_HEADER]: joined }), ran]).toEqual([200, 404, 1]);
	} finally {
		server.close();
		await stack.close();
	}
});
