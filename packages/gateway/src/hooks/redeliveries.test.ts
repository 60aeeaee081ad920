import { BerthError, type HookEvent, type HookWithSecret, type Redelivery } from "@berth/contracts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "../testing/own-stack.js";
import { ended } from "../testing/settlements.js";

let stack: OwnStack;
let hook: HookWithSecret;
let ran: string[];
let count = 0;

beforeAll(async () => {
	stack = await startOwnStack({ shop: {} });
});
afterAll(() => stack?.close());
/** A hook, two of whose deliveries failed. */
beforeEach(async () => {
	const input = { scheme: "none", mode: "sync", name: `hook-${count++}` };
	hook = (await (await post("", input)).json()) as HookWithSecret;
	stack.onInvocation(async () => ended("handler_error", { error: { name: "Error", message: "down" } }));
	for (const body of ["one", "x".repeat(10_000)]) await fetch(stack.url + hook.path, { method: "POST", body });
	ran = [];
	stack.onInvocation(async ({ request, attempt }) => {
		ran.push(request.id);
		return ended("succeeded", { attempt });
	});
});

const post = (path: string, body: object, key?: string) =>
	stack.fetch(`/v1/functions/shop/hooks${path}`, {
		method: "POST",
		body: JSON.stringify(body),
		headers: { "content-type": "application/json", ...(key === undefined ? {} : { "idempotency-key": key }) },
	});
const eventsOf = async () =>
	((await (await stack.fetch(`/v1/functions/shop/hooks/${hook.name}/events`)).json()) as { events: HookEvent[] }).events;
const again = async (path: string, body: object, key: string): Promise<Redelivery> => {
	const answer = await post(`/${hook.name}${path}`, body, key);
	expect(answer.status).toBe(202);
	return (await answer.json()) as Redelivery;
};
const since = () => ({ since: new Date(Date.now() - 60_000).toISOString() });

/** Redis takes all, and doesn't acknowledge this one, counted from 1. @returns ids of what it took */
function doubtful(at: number): string[] {
	const { invocations } = stack.services;
	const taken: string[] = [];
	const enqueue = invocations.enqueue.bind(invocations);
	invocations.enqueue = async (request) => {
		await enqueue(request);
		if (taken.push(request.id) < at) return;
		invocations.enqueue = enqueue;
		throw new BerthError("unavailable", "nobody knows whether that arrived");
	};
	return taken;
}

test("a redelivery that is asked for again after a doubt is one invocation and one event, by the key of its request", async () => {
	const [first] = (await eventsOf()) as [HookEvent];
	const path = `/events/${first.id}/redeliver`;
	const accepted = doubtful(1);
	expect((await post(`/${hook.name}${path}`, {}, "k1")).status).toBe(503);
	const { redelivered } = await again(path, {}, "k1");
	expect(redelivered).toEqual([{ event: first.id, as: expect.stringMatching(/^evt_/), invocation: accepted[0] }]);
	expect(await again(path, {}, "k1")).toEqual({ redelivered, skipped: [] });
	await expect.poll(() => ran).toEqual(accepted);
	expect((await eventsOf()).filter(({ redeliveryOf }) => redeliveryOf === first.id)).toMatchObject([
		{ id: redelivered[0]?.as, result: "queued", invocation: accepted[0] },
	]);
	const other = await again(path, {}, "k2");
	expect(other.redelivered[0]?.invocation).not.toBe(accepted[0]);
});

test("one in doubt may run, and so isn't on record as failed, nor taken by who asks for all that failed", async () => {
	const [first] = (await eventsOf()) as [HookEvent];
	const body = since();
	const accepted = doubtful(1);
	expect((await post(`/${hook.name}/redeliver`, body, "k5")).status).toBe(503);
	const doubted = (await eventsOf()).filter(({ redeliveryOf }) => redeliveryOf !== undefined);
	expect(doubted).toMatchObject([{ result: "running" }]);
	const of = doubted[0]?.redeliveryOf;
	const { redelivered, skipped } = (await (await post(`/${hook.name}/redeliver`, since())).json()) as Redelivery;
	expect([redelivered.length, redelivered.some(({ event }) => event === of)]).toEqual([1, false]);
	expect(skipped).toMatchObject([{ event: of }]);
	expect(first.id).toBeDefined();
	await expect.poll(() => ran).toHaveLength(2);
	const again5 = await again("/redeliver", body, "k5");
	expect(again5.redelivered).toMatchObject([{ event: of, invocation: accepted[0] }]);
	expect(ran).toHaveLength(2);
});

test("so is each of all that failed, also of those that were redelivered before the doubt", async () => {
	const accepted = doubtful(2);
	const body = since();
	expect((await post(`/${hook.name}/redeliver`, body, "k3")).status).toBe(503);
	const { redelivered, skipped } = await again("/redeliver", body, "k3");
	expect([redelivered.map(({ invocation }) => invocation), skipped]).toEqual([accepted, []]);
	await expect.poll(() => ran.toSorted()).toEqual(accepted.toSorted());
	expect((await eventsOf()).filter(({ redeliveryOf }) => redeliveryOf !== undefined)).toHaveLength(2);
	expect(await again("/redeliver", since(), "k4")).toEqual({ redelivered: [], skipped: [] });
});
