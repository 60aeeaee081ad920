import type { BacklogAnswer, FunctionDetail, InvocationAnswer, InvocationList, MovedAlias } from "@berth/contracts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { ended } from "./testing/settlements.js";

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({ hello: {}, patient: { background: { backoffMs: 600_000 } } });
	await stack.deploy("hello", { timeoutMs: 50 });
});
afterEach(async () => {
	stack.services.crashLoops.forget(V1);
	stack.services.crashLoops.forget(V2);
	stack.onInvocation(async () => ended("succeeded"));
	await stack.fetch("/v1/functions/hello/resume", { method: "POST" });
});
afterAll(() => stack?.close());

const V1 = { project: "default", function: "hello", version: 1 };
const V2 = { ...V1, version: 2 };
const LOOP = {
	crashes: 5,
	outcome: "out_of_memory",
	error: "too much",
	invocation: "inv_1",
	node: "node_a",
	retryAfterMs: 60_000,
} as const;
const FAILING =
	/^v2 has crashed 5 times in a row on node_a \(function_failing; out_of_memory, at inv_1: too much\), and is tried again at \d{4}-.*Z, not before/;

/** One that waits: its function's work is paused. */
async function waiting(): Promise<string> {
	await stack.call<BacklogAnswer>("POST", "/v1/functions/hello/pause");
	return (await stack.call<{ id: string }>("POST", "/v1/functions/hello/invocations?mode=async", {}, 202)).id;
}
async function failing(): Promise<void> {
	stack.services.crashLoops.keep(V2, LOOP);
	await expect.poll(() => stack.services.crashLoops.find(V2)).toBeDefined();
}
/** What is waited for as if nothing were paused: the pause only keeps it from being run here. */
function unpaused(): void {
	const { invocations } = stack.services;
	const heldUp = invocations.heldUp.bind(invocations);
	invocations.heldUp = async (of) => ({ ...(await heldUp(of)), paused: false });
	restore = () => {
		invocations.heldUp = heldUp;
	};
}
let restore = () => {};
afterEach(() => restore());

describe("an invocation that waits says why", () => {
	test("when its function is paused, in its record and in lists", async () => {
		const id = await waiting();
		const why = expect.stringContaining("paused");
		expect(await stack.call<InvocationAnswer>("GET", `/v1/invocations/${id}`)).toMatchObject({ state: "queued", waitsFor: why });
		const { invocations } = await stack.call<InvocationList>("GET", "/v1/invocations?state=queued");
		expect(invocations.find((each) => each.id === id)).toMatchObject({ waitsFor: why });
	});

	test("when its version is backed off, and until when: in its record, in lists, of its function and to who watches", async () => {
		const id = await waiting();
		await failing();
		unpaused();
		const waitsFor = expect.stringMatching(FAILING);
		expect(await stack.call<InvocationAnswer>("GET", `/v1/invocations/${id}`)).toMatchObject({ waitsFor });
		const { invocations } = await stack.call<InvocationList>("GET", "/v1/invocations?state=queued");
		expect(invocations.find((each) => each.id === id)).toMatchObject({ waitsFor });
		const watching = await stack.fetch(`/v1/invocations/${id}/events`);
		const reader = (watching.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
		let told = "";
		while (!told.includes("event: waits")) told += (await reader.read()).value ?? "";
		expect(told).toContain('event: waits\ndata: {"waitsFor":"v2 has crashed 5 times');
		await reader.cancel();
		restore();
		await stack.call("POST", "/v1/functions/hello/resume");
		expect(await stack.call<FunctionDetail>("GET", "/v1/functions/hello")).toMatchObject({ background: { waitsFor } });
	});

	test("when it is for later, or is to be tried again, and when that is: in its record, in lists and to who watches", async () => {
		const runAt = new Date(Date.now() + 3_600_000).toISOString();
		const asked = await stack.call<{ id: string }>("POST", `/v1/functions/hello/invocations?mode=async&runAt=${runAt}`, {}, 202);
		expect(await stack.call<InvocationAnswer>("GET", `/v1/invocations/${asked.id}`)).toMatchObject({ waitsFor: `not before ${runAt}` });
		await stack.call("POST", `/v1/invocations/${asked.id}/cancel`);

		stack.onInvocation(async () => ended("crashed"));
		await stack.call<BacklogAnswer>("POST", "/v1/functions/hello/resume");
		const { id } = await stack.call<{ id: string }>("POST", "/v1/functions/patient/invocations?mode=async", {}, 202);
		const watching = await stack.fetch(`/v1/invocations/${id}/events`);
		const reader = (watching.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
		let told = "";
		while (!told.includes("event: waits")) told += (await reader.read()).value ?? "";
		expect(told).toContain('event: waits\ndata: {"waitsFor":"attempt 2 not before 2');
		await reader.cancel();
		const waitsFor = expect.stringMatching(/^attempt 2 not before \d{4}-[^ ]*Z$/);
		const record = await stack.call<InvocationAnswer>("GET", `/v1/invocations/${id}`);
		expect(record).toMatchObject({ state: "queued", waitsFor });
		const { invocations } = await stack.call<InvocationList>("GET", "/v1/invocations?state=queued");
		expect(invocations.find((each) => each.id === id)).toMatchObject({ waitsFor: record.waitsFor });
		await stack.call("POST", `/v1/invocations/${id}/cancel`);
	});

	test("and nothing of the kind when it is only its turn that it waits for, or when it is over", async () => {
		const id = await waiting();
		unpaused();
		expect(await stack.call<InvocationAnswer>("GET", `/v1/invocations/${id}`)).not.toHaveProperty("waitsFor");
		restore();
		await failing();
		await stack.call("POST", "/v1/functions/hello/resume");
		const over = await stack.call<InvocationAnswer>("GET", `/v1/invocations/${id}?wait=30s`);
		expect(over).toMatchObject({ state: "settled" });
		expect(over).not.toHaveProperty("waitsFor");
	});
});

test("who leads an alias to a version that is backed off is told so, and it moves all the same", async () => {
	await failing();
	const put = (weights: object) => stack.call<MovedAlias>("PUT", "/v1/functions/hello/aliases/canary", { weights });
	expect(await put({ 1: 50, 2: 50 })).toMatchObject({ weights: { 1: 50, 2: 50 }, warnings: [expect.stringMatching(FAILING)] });
	expect(await put({ 1: 100 })).not.toHaveProperty("warnings");
	stack.services.crashLoops.keep(V1, LOOP);
	await expect.poll(() => stack.services.crashLoops.find(V1)).toBeDefined();
	const back = await stack.call<MovedAlias>("POST", "/v1/functions/hello/aliases/live/rollback");
	expect(back).toMatchObject({ weights: { 1: 100 }, warnings: [expect.stringContaining("v1 has crashed 5 times in a row")] });
	await stack.call("PUT", "/v1/functions/hello/aliases/live", { follows: true });
});
