import { readdirSync } from "node:fs";
import { join } from "node:path";
import { CutError } from "@berth/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CallbackReceiver } from "../harness/callback-receiver.js";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, fixture, freshName } from "../harness/functions.js";
import { cgroupsOf, leftoversOf, platformProcessesOf, sandboxCgroupsOf } from "../harness/leftovers.js";
import { LightLoad } from "../harness/load.js";
import { scrape } from "../harness/metrics.js";
import { type ProcessName, Stack } from "../harness/stack.js";

/** Whoever dies, dies by SIGKILL, while invocations run. */
const PROCESSES: readonly ProcessName[] = ["gateway", "worker", "launcher", "redis-fast", "redis-durable"];
/** A generous bound: a start of the process, then one of everything that hangs on it. */
const BACK_MS = 45_000;

let stack: Stack;
let quick: Deployed;
let receiver: CallbackReceiver;
beforeAll(async () => {
	receiver = await CallbackReceiver.start();
	stack = await Stack.start({ BERTH_PREWARMED: "1", BERTH_CALLBACK_HOSTS: receiver.host });
	quick = await deploy(stack, { name: "quick", source: fixture("sleeps"), env: { MARK: "quick" } });
	await quick.result();
});
afterAll(async () => {
	await stack?.stop();
	await receiver?.[Symbol.asyncDispose]();
});

/** Waits until the stack takes work again, as its users notice it. */
async function awaitSuccess(): Promise<void> {
	await eventually(async () => expect(await quick.result()).toBe("quick"), BACK_MS);
}

/** Every sandbox that has a cgroup, a directory or a socket is one that the node knows. */
async function expectNoOrphans(): Promise<void> {
	await eventually(async () => {
		const known = new Set((await stack.client.sandboxes()).map(({ id }) => id));
		expect(sandboxCgroupsOf(stack.dataDir).filter((id) => !known.has(id))).toEqual([]);
		// In memory, in the launcher's own mount namespace.
		const inside = `/proc/${await stack.pidOf("launcher")}/root${stack.dataDir}`;
		const directories = readdirSync(join(inside, "launcher", "sandboxes"));
		expect(directories.filter((id) => !known.has(id))).toEqual([]);
		expect(directories.length).toBeGreaterThan(0);
		const outputs = readdirSync(join(stack.dataDir, "launcher", "output")).map((name) => name.replace(/\.(?:out|err)$/, ""));
		expect(outputs.filter((id) => !known.has(id))).toEqual([]);
	}, 20_000);
}

describe.each(PROCESSES)("kill -9 of the %s", (name) => {
	it("loses no function, and invocations succeed again by themselves", async () => {
		const before = await stack.client.versions("quick");
		const load = new LightLoad(quick);
		await eventually(() => expect(load.succeeded).toBeGreaterThan(20));
		await stack.killAndAwaitNext(name);
		await awaitSuccess();
		const afterwards = load.succeeded;
		await eventually(() => expect(load.succeeded).toBeGreaterThan(afterwards + 20), BACK_MS);
		const endings = await load.stop();
		// Whoever waited while it was away is told whose fault it was: never the function's, never the caller's.
		const blamed = ["handler_error", "init_error", "out_of_memory", "timed_out", "invalid_request", "unauthorized", "function_not_found"];
		expect([...endings.keys()].filter((ending) => blamed.includes(ending))).toEqual([]);
		// What was resolved lately is invoked from memory: the durable server may be a moment behind.
		await eventually(async () => expect(await stack.client.versions("quick")).toEqual(before), BACK_MS);
		expect((await stack.client.list()).map((each) => each.name)).toContain("quick");
	});

	it("leaves no orphan: no cgroup, directory or socket that the node doesn't know", async () => {
		await awaitSuccess();
		await expectNoOrphans();
	});

	it("loses nothing that was acknowledged: every background invocation settles, and its callback arrives, signed", async () => {
		const { secret } = await eventually(() => stack.client.callbackSecret(), BACK_MS);
		const slow = await deploy(stack, { source: fixture("sleeps"), env: { MARK: "slow" }, concurrency: 2 });
		const ids = await Promise.all(
			Array.from({ length: 20 }, async () => {
				const { id } = await stack.client.invokeAsync(slow.name, { json: { ms: 150 } }, { callbackUrl: receiver.url });
				return id;
			}),
		);
		await eventually(async () => expect((await stack.client.invocation(ids[0] as string)).state).toBe("settled"));
		await stack.killAndAwaitNext(name);
		await awaitSuccess();
		const records = await eventually(async () => {
			const found = await Promise.all(ids.map((id) => stack.client.invocation(id)));
			expect(found.filter(({ state }) => state !== "settled").map(({ id }) => id)).toEqual([]);
			return found;
		}, 90_000);
		expect(records.map(({ outcome }) => outcome)).toEqual(ids.map(() => "succeeded"));
		// What a gateway was posting when it died, another one takes when that one's lease is over.
		await eventually(() => expect(receiver.told(secret)).toEqual(expect.arrayContaining(ids)), 60_000);
		// The record comes first, the job goes after it; one that a kill parted from its record goes when its lock has ended.
		await eventually(async () => expect((await scrape(stack)).sum("berth_queue_depth")).toBe(0), BACK_MS);
	});

	it("keeps no deploy from being built afterwards", async () => {
		const mark = freshName();
		const deployed = await eventually(() => deploy(stack, { source: `export default () => ${JSON.stringify(mark)};` }), BACK_MS);
		expect(await deployed.result()).toBe(mark);
	});
});

describe.each([
	["worker", "worker_lost"],
	["gateway", "cancelled"],
] as const)("kill -9 of the %s in the middle of a streamed answer", (name, code) => {
	it("cuts it off for its client, and the record says why", async () => {
		const source = "export default async function* () { for (;;) { yield 'x'; await new Promise((resolve) => setTimeout(resolve, 20)); } }";
		const streams = await deploy(stack, { source });
		const begun = Promise.withResolvers<void>();
		const failed = streams.invoke({}, { onPiece: () => begun.resolve() }).catch((error: unknown) => error);
		await begun.promise;
		await stack.killAndAwaitNext(name);
		const cut = await failed;
		expect(cut).toBeInstanceOf(CutError);
		const id = (cut as CutError).invocationId;
		await eventually(async () => expect(await streams.record({ id })).toMatchObject({ state: "settled", code }), BACK_MS);
		await awaitSuccess();
	});
});

describe("kill -9 of the gateway in the middle of an invocation with an Idempotency-Key", () => {
	it("runs nothing again: what was answered is answered again, and of what wasn't a repetition is told so", async () => {
		const source = `const runs = {};
			export default async ({ of, ms }) => {
				runs[of] = (runs[of] ?? 0) + 1;
				await new Promise((resolve) => setTimeout(resolve, ms));
				return runs;
			};`;
		const counts = await deploy(stack, { source, concurrency: 1 });
		const ask = (of: string, ms = 0) =>
			stack.client.invokeRaw(counts.name, { json: { of, ms } }, { idempotencyKey: `${counts.name}-${of}` });
		const first = await ask("answered");
		expect([first.status, first.body.toString()]).toEqual([200, '{"answered":1}']);
		const lost = ask("lost", 1500).catch(() => "no answer");
		await eventually(async () => {
			const own = (await stack.client.sandboxes()).filter((each) => each.function === counts.name);
			expect(own.map(({ state }) => state)).toEqual(["busy"]);
		});
		await stack.killAndAwaitNext("gateway");
		expect(await lost).toBe("no answer");
		const again = await eventually(async () => {
			const answer = await ask("answered");
			expect(answer.status).toBe(200);
			return answer;
		}, BACK_MS);
		expect([again.status, again.headers["idempotency-replayed"], again.body.toString()]).toEqual([200, "true", '{"answered":1}']);
		const doubted = await ask("lost", 1500);
		expect([doubted.status, doubted.headers["retry-after"]]).toEqual([409, "1"]);
		expect(JSON.parse(doubted.body.toString())).toMatchObject({ code: "idempotency_in_progress", retryable: true });
		expect(await counts.result({ of: "other", ms: 0 })).toEqual({ answered: 1, lost: 1, other: 1 });
	});
});

describe("kill -9 of everything at once", () => {
	it("is mended by the supervisor, with every function in its place", async () => {
		for (const name of PROCESSES) process.kill(await stack.pidOf(name), "SIGKILL");
		await awaitSuccess();
		await expectNoOrphans();
		// Those that were started again as well get the CPU before sandboxes do.
		const own = [await stack.supervisorPid(), ...(await Promise.all(PROCESSES.map((name) => stack.pidOf(name))))];
		expect(platformProcessesOf(stack.dataDir)).toEqual(expect.arrayContaining(own.map(String)));
	});
});

describe("kill -9 of the supervisor", () => {
	it("ends its processes, too, and `berth up` starts again what was there, with nothing left of before", async () => {
		const { id } = await stack.client.invokeAsync("quick", { json: {} });
		process.kill(await stack.supervisorPid(), "SIGKILL");
		await stack.up();
		expect(await stack.client.list()).not.toEqual([]);
		await awaitSuccess();
		await eventually(
			async () => expect(await stack.client.invocation(id)).toMatchObject({ state: "settled", outcome: "succeeded" }),
			60_000,
		);
		await expectNoOrphans();
	});

	it.each([[["launcher"]], [["launcher", "worker"]], [[]]] as const)("and of %j, and `berth down` leaves nothing", async (others) => {
		const pids = [await stack.supervisorPid(), ...(await Promise.all(others.map((name) => stack.pidOf(name))))];
		for (const pid of pids) process.kill(pid, "SIGKILL");
		await stack.down();
		expect(leftoversOf(stack.dataDir)).toEqual([]);
		expect(cgroupsOf(stack.dataDir)).toEqual([]);
		await stack.up();
		await awaitSuccess();
	});
});
