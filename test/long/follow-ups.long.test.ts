import { setTimeout as pause } from "node:timers/promises";
import { ApiError, ConnectionError } from "@berth/client";
import { afterAll, beforeAll, expect, it } from "vitest";
import { CallbackReceiver } from "../harness/callback-receiver.js";
import { eventually } from "../harness/eventually.js";
import { deploy, fixture } from "../harness/functions.js";
import { type ProcessName, Stack } from "../harness/stack.js";

/** Who dies while callbacks are being posted. */
const DEATHS: readonly ProcessName[] = ["gateway", "worker", "gateway"];
const EACH = 20;
const REQUESTS = 40;
/** What was under way ends, retries and the leases of who died included. */
const OVER_MS = 150_000;

let receiver: CallbackReceiver;
let stack: Stack;
beforeAll(async () => {
	receiver = await CallbackReceiver.start();
	stack = await Stack.start({ BERTH_CALLBACK_HOSTS: receiver.host });
});
afterAll(async () => {
	await stack?.stop();
	await receiver?.[Symbol.asyncDispose]();
});

it("every callback arrives, signed, whoever is killed while it is posted", async () => {
	const { secret } = await stack.client.callbackSecret();
	const sleeps = await deploy(stack, { source: fixture("sleeps"), concurrency: 8 });
	// Some are being posted whenever somebody dies.
	receiver.delayMs = 700;
	const ids: string[] = [];
	for (const death of DEATHS) {
		const options = { callbackUrl: receiver.url };
		const accepted = await eventually(() =>
			Promise.all(Array.from({ length: EACH }, () => stack.client.invokeAsync(sleeps.name, { json: { ms: 100 } }, options))),
		);
		ids.push(...accepted.map(({ id }) => id));
		const before = receiver.told(secret).length;
		await eventually(() => expect(receiver.told(secret).length).toBeGreaterThan(before));
		await stack.killAndAwaitNext(death);
	}
	await eventually(() => expect(ids.filter((id) => !receiver.told(secret).includes(id))).toEqual([]), OVER_MS);
	await eventually(async () => {
		const records = await Promise.all(ids.map((id) => stack.client.invocation(id)));
		expect(records.filter(({ callback }) => callback?.state !== "delivered")).toEqual([]);
	}, OVER_MS);
});

it("what was asked for with a key is one invocation, however often it is asked for while gateways are killed", async () => {
	const sleeps = await deploy(stack, { source: fixture("sleeps"), concurrency: 4 });
	/** Asks until it is told: it was begun, or waits for who died. */
	const asked = async (n: number): Promise<string> => {
		for (;;) {
			try {
				return (await stack.client.invokeAsync(sleeps.name, { json: { ms: 20 } }, { idempotencyKey: `${sleeps.name}-${n}` })).id;
			} catch (error) {
				const isLater = error instanceof ConnectionError || (error instanceof ApiError && error.problem.retryable);
				if (!isLater) throw error;
				await pause(250);
			}
		}
	};
	const asking = Array.from({ length: REQUESTS }, async (_, n) => {
		await pause(n * 50);
		return await asked(n);
	});
	for (let n = 0; n < 2; n++) {
		await pause(500);
		await stack.killAndAwaitNext("gateway");
	}
	const ids = await Promise.all(asking);
	expect(new Set(ids).size).toBe(REQUESTS);
	expect(await Promise.all(ids.map((_, n) => asked(n)))).toEqual(ids);
	const { invocations } = await stack.client.invocations({ function: sleeps.name, limit: 100 });
	expect(invocations.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
	await eventually(async () => {
		const records = await Promise.all(ids.map((id) => stack.client.invocation(id)));
		expect(records.map(({ outcome, attempts }) => [outcome, attempts?.length])).toEqual(ids.map(() => ["succeeded", 1]));
	}, OVER_MS);
});
