import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { backgroundRecordOf, outboxOf } from "./keys.js";
import { openOutbox } from "./open.js";
import type { FollowUp, FollowUpKind, Outbox } from "./outbox.js";
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
		found = (await outbox.claim("callback", 10)).taken;
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
	for (const kind of ["callback", "follower"] as const)
		expect((await outbox.claim(kind, 10)).taken).toMatchObject([{ kind, project: "default", id: request.id }]);
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
	const held = await outbox.claim("callback", 10);
	expect(held.taken).toEqual([]);
	expect(held.nextMs).toBeGreaterThan(0);
	expect(held.nextMs).toBeLessThanOrEqual(30_001);
	// As if its lease were over.
	await lanes.server.client((client) =>
		client.multi().zadd(outboxOf("callback", "default"), 1, request.id).zadd(outboxOf("callback"), 1, "default").exec(),
	);
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
	expect(await outbox.again(request)).toBe(false);
	await lanes.worker(echo);
	const first = await taken();
	expect(await outbox.again(request)).toBe(true);
	expect((await outbox.claim("callback", 10)).taken).toEqual([]);
	const day = 24 * 3_600_000;
	expect(await outbox.note(first, { ...delivered, state: "waiting" }, 2 * day)).toBe(true);
	expect(await lanes.server.client((client) => client.pttl(backgroundRecordOf(request.id)))).toBeGreaterThan(2 * day);
	expect((await outbox.claim("callback", 10)).taken).toEqual([]);
	expect(await outbox.again(request)).toBe(true);
	expect(await taken()).toMatchObject({ kind: "callback", id: request.id });
});

test("a project takes no more than it leaves to others, who needn't wait behind what it has; each kind is taken for itself", async () => {
	const gateway = await opened();
	const flood = Array.from({ length: 40 }, () => requestOf("", { project: "many", callback: url, follow: { onSuccess: "next" } }));
	for (const request of flood) await gateway.enqueue(request);
	await lanes.worker(echo);
	await expect.poll(() => outbox.size()).toBe(80);
	const held = new Map<string, number>();
	const counts = async (kind: FollowUpKind, places: number) => {
		const { taken, nextMs } = await outbox.claim(kind, places, held);
		const found: Record<string, number> = {};
		for (const { project } of taken) {
			found[project] = (found[project] ?? 0) + 1;
			held.set(project, (held.get(project) ?? 0) + 1);
		}
		return { found, nextMs };
	};
	expect((await counts("callback", 16)).found).toEqual({ many: 8 });
	// All that is due is of one that has as many as are free: there is nothing to look for until one ends, or a lease does.
	const { found, nextMs } = await counts("callback", 8);
	expect(found).toEqual({});
	expect(nextMs === undefined || nextMs > 0).toBe(true);
	await gateway.enqueue(requestOf("", { project: "few", callback: url }));
	await gateway.enqueue(requestOf("", { project: "few", callback: url }));
	await expect.poll(() => outbox.size()).toBe(82);
	expect((await counts("callback", 8)).found).toEqual({ few: 2 });
	held.clear();
	expect((await counts("follower", 16)).found).toEqual({ many: 8 });
});

test("what is put off keeps its record, and is due in its turn", async () => {
	const gateway = await opened();
	const request = requestOf("", { callback: url });
	await gateway.enqueue(request);
	await lanes.worker(echo);
	const first = await taken();
	const twoDays = 48 * 3_600_000;
	await outbox.postpone(first, twoDays);
	const { taken: none, nextMs } = await outbox.claim("callback", 10);
	expect(none).toEqual([]);
	expect(nextMs).toBeGreaterThan(twoDays - 60_000);
	expect(await lanes.server.client((client) => client.pttl(backgroundRecordOf(request.id)))).toBeGreaterThan(twoDays);
	await outbox.forget(first);
	expect(await outbox.size()).toBe(1);
	expect(await outbox.again(request)).toBe(true);
	await outbox.forget(await taken());
	expect(await outbox.size()).toBe(0);
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
