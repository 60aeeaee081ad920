import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { HEADERS, INVOKING_HEADER, type InvokingHead, JOINED_HEADER, newId } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { expect, test } from "vitest";
import { Invocations } from "./invocations.js";
import { createJoinedApp } from "./joined.js";
import { mirror } from "./testing/settlements.js";
import { startStack } from "./testing/stack.js";

test("what a function asks again under its key is the invocation that it was, of whichever of its own it asks; other keys are others'", async () => {
	await using redis = await RedisServer.start();
	const stack = await startStack(redis.url);
	const server = createServer(createJoinedApp(new Invocations(stack.services), stack.services)).listen(0, "127.0.0.1");
	await once(server, "listening");
	try {
		for (const name of ["mail", "stock"]) await stack.deploy(name);
		const ran: string[] = [];
		stack.onInvocation(async (delivery) => {
			ran.push(delivery.request.id);
			return await mirror(delivery);
		});
		const ask = async (more: Partial<InvokingHead> = {}, by = "order", body = "{}") => {
			const parent = { id: newId("inv"), function: by };
			const head = { project: "default", function: "mail", parent, depth: 1, deadlineMs: 1e15, async: true, idempotencyKey: "7", ...more };
			const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, {
				method: "POST",
				body,
				headers: { [INVOKING_HEADER]: JSON.stringify(head), "content-type": "application/json" },
			});
			const text = await answer.text();
			const { code } = JSON.parse(text) as { code?: string };
			return { status: answer.status, code, id: answer.headers.get(HEADERS.invocationId), text };
		};
		const first = await ask();
		expect([first.status, await ask()]).toEqual([202, first]);
		for (const other of [await ask({}, "order", '{"n":1}'), await ask({ function: "stock" }), await ask({ async: false })])
			expect(other).toMatchObject({ status: 422, code: "idempotency_mismatch" });
		expect((await ask({}, "refund")).id).not.toBe(first.id);
		expect((await ask({ idempotencyKey: "8" })).id).not.toBe(first.id);
		const request = { method: "POST", body: "{}", headers: { "idempotency-key": "7", prefer: "respond-async" } };
		expect((await stack.fetch("/v1/functions/mail/invocations", request)).status).toBe(202);
		await expect.poll(() => ran).toHaveLength(4);
		const waited = await ask({ async: false, idempotencyKey: "9" });
		expect([waited.status, await ask({ async: false, idempotencyKey: "9" })]).toEqual([200, waited]);
		expect(ran.filter((id) => id === waited.id)).toHaveLength(1);
		expect(new Set(ran).size).toBe(ran.length);
	} finally {
		server.close();
		await stack.close();
	}
});

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
