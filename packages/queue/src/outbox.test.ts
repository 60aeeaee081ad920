import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { backgroundRecordOf, OUTBOX } from "./keys.js";
import { openOutbox } from "./open.js";
import type { FollowUp, Outbox } from "./outbox.js";
import { echo, Lanes, requestOf, settlementOf } from "./testing/lanes.js";

let lanes: Lanes;
let outbox: Outbox;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(async () => {
	await outbox.close();
	await lanes.clear();
});
afterAll(() => lanes.stop());

const url = "https://example.com/done";
const delivered = { url, state: "delivered", attempts: 1 } as const;

async function opened() {
	outbox = await openOutbox({ durableUrl: lanes.server.url });
	return await lanes.gateway();
}

async function taken(): Promise<FollowUp> {
	let found: readonly FollowUp[] = [];
	const look = async () => {
		found = (await outbox.claim(10)).taken;
		return found.length;
	};
	await expect.poll(look).toBe(1);
	return found[0] as FollowUp;
}

test("what is to follow is there with the settlement and not before; what has nothing to follow isn't", async () => {
	const gateway = await opened();
	const request = requestOf("", { callback: url, follow: { onSuccess: "next" }, depth: 2 });
	await gateway.enqueue(request);
	await gateway.enqueue(requestOf());
	expect(await outbox.size()).toBe(0);
	expect(await gateway.record(request.id)).toMatchObject({
		callback: { url, state: "waiting", attempts: 0 },
		follower: { state: "waiting" },
	});
	const told = Promise.withResolvers<void>();
	outbox.listen(() => told.resolve());
	await lanes.worker(echo);
	await told.promise;
	const { taken: found } = await outbox.claim(10);
	expect(found.map(({ kind, id }) => [kind, id]).sort()).toEqual([
		["callback", request.id],
		["follower", request.id],
	]);
	expect((await gateway.record(request.id))?.state).toBe("settled");
	expect(await outbox.materialOf(request.id)).toMatchObject({ follow: { onSuccess: "next" }, depth: 2, body: { text: "" } });
});

test("a failure that is tried again has nothing follow; a dead letter has", async () => {
	const gateway = await opened();
	const request = requestOf("", { callback: url, retry: { attempts: 2, backoffMs: 1 } });
	let seen = 0;
	const sizes: number[] = [];
	await lanes.worker(async ({ attempt }) => {
		sizes.push(await outbox.size());
		seen++;
		return settlementOf("handler_error", attempt);
	});
	await gateway.enqueue(request);
	await taken();
	expect([seen, sizes]).toEqual([2, [0, 0]]);
});

test("is held by one courier at a time; a stale one writes nothing, and what it had is there again when its lease is over", async () => {
	const gateway = await opened();
	const request = requestOf("", { callback: url });
	await gateway.enqueue(request);
	await lanes.worker(echo);
	const first = await taken();
	const held = await outbox.claim(10);
	expect(held.taken).toEqual([]);
	expect(held.nextMs).toBeGreaterThan(0);
	expect(held.nextMs).toBeLessThanOrEqual(30_001);
	// As if its lease were over.
	await lanes.server.client((client) => client.zadd(OUTBOX, 1, `callback:${request.id}`));
	const second = await taken();
	expect(await outbox.note(first, delivered)).toBe(false);
	expect((await gateway.record(request.id))?.callback?.state).toBe("waiting");
	expect(await outbox.note(second, delivered)).toBe(true);
	expect((await gateway.record(request.id))?.callback).toEqual(delivered);
	expect(await outbox.size()).toBe(0);
});

test("what waits for its next try keeps its record; by hand it is due now, but not while it is held", async () => {
	const gateway = await opened();
	const request = requestOf("", { callback: url });
	await gateway.enqueue(request);
	expect(await outbox.again(request.id)).toBe(false);
	await lanes.worker(echo);
	const first = await taken();
	expect(await outbox.again(request.id)).toBe(true);
	expect((await outbox.claim(10)).taken).toEqual([]);
	const day = 24 * 3_600_000;
	expect(await outbox.note(first, { ...delivered, state: "waiting" }, 2 * day)).toBe(true);
	expect(await lanes.server.client((client) => client.pttl(backgroundRecordOf(request.id)))).toBeGreaterThan(2 * day);
	expect((await outbox.claim(10)).taken).toEqual([]);
	expect(await outbox.again(request.id)).toBe(true);
	expect(await taken()).toMatchObject({ kind: "callback", id: request.id });
});

test("survives a crash of Redis", async () => {
	const gateway = await opened();
	const request = requestOf("", { callback: url });
	await gateway.enqueue(request);
	await lanes.worker(echo);
	await expect.poll(async () => (await gateway.record(request.id))?.state).toBe("settled");
	await lanes.server.kill();
	await lanes.server.start();
	expect((await taken()).id).toBe(request.id);
});
