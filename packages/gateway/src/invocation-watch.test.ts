import type { InvocationAnswer } from "@berth/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { ended } from "./testing/settlements.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ hello: {} });
});
afterAll(async () => {
	if (stack?.redis.running === false) await stack.redis.start();
	await stack?.close();
	// A worker gives what it has in hand 10 s.
}, 30_000);

/** One that runs until it is let go. */
async function running(): Promise<{ readonly id: string; readonly end: () => void }> {
	const [began, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
	stack.onInvocation(async () => {
		began.resolve();
		await end.promise;
		return ended("succeeded");
	});
	const answer = await stack.fetch("/v1/functions/hello/invocations?mode=async", { method: "POST", body: "{}" });
	const { id } = (await answer.json()) as { id: string };
	await began.promise;
	return { id, end: end.resolve };
}

/** Redis goes away under a read of those who wait, that comes after the first one of their request, with the news that there is. @returns resolves when one has failed */
function goesAway(): { readonly failed: Promise<void>; readonly reads: () => number } {
	const { invocations } = stack.services;
	const record = invocations.record.bind(invocations);
	const follow = invocations.follow.bind(invocations);
	invocations.follow = (id, onNews) => {
		setImmediate(onNews);
		return follow(id, onNews);
	};
	const failed = Promise.withResolvers<void>();
	let reads = 0;
	invocations.record = async (id) => {
		if (++reads === 2) await stack.redis.kill();
		try {
			return await record(id);
		} catch (error) {
			failed.resolve();
			throw error;
		}
	};
	return {
		failed: failed.promise,
		reads: () => {
			invocations.record = record;
			invocations.follow = follow;
			return reads;
		},
	};
}

test("a wait goes on while Redis is away for a moment: who waits needs the end, not the trouble on the way", async () => {
	const { id, end } = await running();
	const { failed, reads } = goesAway();
	const waiting = stack.fetch(`/v1/invocations/${id}?wait=30s`);
	await failed;
	await stack.redis.start();
	end();
	const answer = await waiting;
	expect([answer.status, (await answer.json()) as InvocationAnswer]).toMatchObject([200, { id, state: "settled", outcome: "succeeded" }]);
	expect(reads()).toBeGreaterThan(2);
});

test("who watches hears when an attempt began, not when they came", async () => {
	const { id, end } = await running();
	const { startedAt } = (await (await stack.fetch(`/v1/invocations/${id}`)).json()) as InvocationAnswer;
	await expect.poll(() => Date.now()).toBeGreaterThan(Date.parse(startedAt ?? ""));
	const watched = await stack.fetch(`/v1/invocations/${id}/events`, { headers: { "last-event-id": "0" } });
	const reader = (watched.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
	let said = "";
	while (!said.includes("\n\n")) said += (await reader.read()).value ?? "";
	expect(said).toContain(`"state":"running","attempt":1,"at":"${startedAt}"`);
	end();
	while (!(await reader.read()).done);
});

test("and is 503 when Redis is away still when the time is up", async () => {
	const { id, end } = await running();
	const { reads } = goesAway();
	const answer = await stack.fetch(`/v1/invocations/${id}?wait=2s`);
	expect([answer.status, await answer.json()]).toMatchObject([503, { code: "unavailable", retryable: true }]);
	// It was looked for meanwhile, too: a wait isn't over with the first read that fails.
	expect(reads()).toBeGreaterThan(2);
	await stack.redis.start();
	end();
	const record = async () => await (await stack.fetch(`/v1/invocations/${id}`)).json();
	// Its worker may have lost it meanwhile: then another attempt is made.
	await expect.poll(record, { timeout: 60_000 }).toMatchObject({ state: "settled" });
}, 90_000);
