import type { BerthError } from "@berth/contracts";
import { RedisServer, SlowProxy } from "@berth/redis/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openInvocationQueue, openInvocationSource } from "../open.js";
import { echo, FUNCTION_RECORDS, NODE, requestOf } from "../testing/lanes.js";

/** A job is there in time, and its answer could be. */
const EACH_WAY_MS = 250;
/** A job would be there before its gateway gives up, and its answer couldn't. */
const LONG_WAY_MS = 600;

let server: RedisServer;
let proxy: SlowProxy;
beforeAll(async () => {
	server = await RedisServer.start();
	proxy = await SlowProxy.before(server.url.slice("unix://".length));
});
afterAll(async () => {
	await proxy[Symbol.asyncDispose]();
	await server[Symbol.asyncDispose]();
});

/** A gateway that is far from its Redis, and a worker beside it. */
async function apart(onBegun: () => void) {
	const far = `redis://127.0.0.1:${proxy.port}`;
	const gateway = await openInvocationQueue({ durableUrl: far, fastUrl: far, gatewayId: "gw_far", functionRecords: FUNCTION_RECORDS });
	const worker = await openInvocationSource({ durableUrl: server.url, fastUrl: server.url, nodeId: NODE, incarnation: "1" });
	const ran: string[] = [];
	await worker.start(async (delivery) => {
		ran.push(delivery.request.id);
		onBegun();
		return await echo(delivery);
	}, 8);
	const end = async () => {
		await gateway.close();
		await worker.close();
		await server.empty();
	};
	return { gateway, ran, [Symbol.asyncDispose]: end };
}

test.each(["interactive", "background"] as const)("%s: what a worker has begun whose answer was lost is accepted", async (lane) => {
	let answer = () => {};
	await using stack = await apart(() => answer());
	const { gateway, ran } = stack;
	const ask = (request = requestOf()) => (lane === "interactive" ? gateway.run(NODE, request) : gateway.enqueue(request));
	await ask();
	await expect.poll(() => ran.length).toBe(1);
	proxy.delayMs = EACH_WAY_MS;
	answer = () => {
		proxy.delayMs = 0;
		proxy.cut();
	};
	const request = requestOf();
	const told = ask(request).then(
		() => "accepted",
		(error: BerthError) => error.message,
	);
	// Its result may have been on its way, too: who waits is told that it was run.
	expect(["accepted", "The invocation succeeded, but its answer was lost between Redis and the gateway."]).toContain(await told);
	await expect.poll(() => ran.at(-1)).toBe(request.id);
	await expect.poll(async () => (await gateway.record(request.id))?.state).toBe("settled");
	expect(ran).toHaveLength(2);
});

test.each(["interactive", "background"] as const)(
	"%s: what a server had taken that says nothing more is in doubt, and told so by its id: it runs once, or is taken back",
	async (lane) => {
		await using stack = await apart(() => undefined);
		const { gateway, ran } = stack;
		const ask = (request = requestOf()) => (lane === "interactive" ? gateway.run(NODE, request) : gateway.enqueue(request));
		await ask();
		await expect.poll(() => ran.length).toBe(1);
		proxy.holdAnswers();
		const { id, ...asked } = requestOf();
		await expect(ask({ id, ...asked })).rejects.toMatchObject({
			code: "in_doubt",
			extra: { invocation: id },
			message: expect.stringContaining(`may run all the same, once, as ${id}`),
		});
		expect(ran.slice(1)).toEqual([id]);
		proxy.passAnswers();
		await expect.poll(async () => (await gateway.record(id).catch(() => undefined))?.state).toBe("settled");
		expect(ran.slice(1)).toEqual([id]);
	},
);

test("what comes to the server when it is too late for an answer does nothing there, in either lane", async () => {
	await using stack = await apart(() => undefined);
	const { gateway, ran } = stack;
	const requests = [requestOf(), requestOf()] as const;
	await gateway.run(NODE, requests[0]);
	await gateway.enqueue(requests[1]);
	await expect.poll(() => ran.length).toBe(2);
	proxy.delayMs = LONG_WAY_MS;
	// Nobody says so in time.
	await Promise.all([
		expect(gateway.run(NODE, requestOf())).rejects.toMatchObject({ code: "in_doubt" }),
		expect(gateway.enqueue(requestOf())).rejects.toMatchObject({ code: "in_doubt" }),
	]);
	proxy.delayMs = 0;
	const last = requestOf();
	await expect.poll(() => gateway.run(NODE, last).catch(() => undefined)).toMatchObject({ attempt: { outcome: "succeeded" } });
	expect(ran.toSorted()).toEqual([...requests.map(({ id }) => id), last.id].toSorted());
});
