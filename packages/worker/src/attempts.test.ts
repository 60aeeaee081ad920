import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BerthError, type FunctionError, INLINE_BODY_BYTES, type LogLine, type RuntimeClassReport } from "@berth/contracts";
import type { Delivery } from "@berth/queue";
import { type ArtifactStore, openArtifactStore } from "@berth/registry";
import { type Lease, type Pool, type SandboxResult, type Specialisation, SpecialiseError, type Streams } from "@berth/sandbox";
import { WorkerMetrics } from "@berth/telemetry";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Attempts } from "./attempts.js";
import { FunctionSecrets } from "./function-secrets.js";
import { InvocationEnds } from "./invocation-ends.js";
import { Invokes } from "./invokes.js";
import { LogTail } from "./log-tail.js";
import { GatewayPlaces } from "./streams/gateway-place.js";
import { Targets } from "./targets.js";
import { ready } from "./testing/versions.js";
import type { ReadyVersions } from "./versions.js";

const NO_LOG = { lines: [], truncated: false };
const DONE: SandboxResult = {
	outcome: "succeeded",
	runMs: 3,
	answer: { head: { id: "inv_1", attempt: 1, waiting: false, contentType: "text/plain" }, body: Buffer.from("hi") },
	usage: { cpuMs: 2, peakMemoryBytes: 1, scratchBytes: 0 },
	limitsHit: [],
	log: NO_LOG,
	healthy: true,
};
const CRASHED: SandboxResult = { ...DONE, outcome: "crashed", error: { name: "E", message: "gone", stack: "at bundle" }, healthy: false };

let directory: string;
let artifacts: ArtifactStore;
let troubles: string[];
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "attempts-"));
	artifacts = await openArtifactStore(directory);
	troubles = [];
});
afterEach(async () => {
	vi.useRealTimers();
	await rm(directory, { recursive: true });
});

/** A pool that gives one sandbox, which does what the test says. */
class FakePool {
	readonly released: (readonly [healthy: boolean, ran: unknown])[] = [];
	readonly killed = Promise.withResolvers<void>();
	readonly bodies: string[] = [];
	readonly cancelled: string[] = [];
	abandoned = 0;
	acquire: (target: Specialisation) => Promise<Lease> = async () => this.lease;
	invoke: (streams?: Streams) => Promise<SandboxResult> = async () => DONE;

	get lease(): Lease {
		const sandbox = {
			id: "sb_1",
			takesBody: true,
			invoke: (_head: object, body: Uint8Array, _respond: unknown, streams?: Streams) => {
				this.bodies.push(Buffer.from(body).toString());
				return this.invoke(streams);
			},
			kill: async () => this.killed.resolve(),
			cancel: (id: string) => void this.cancelled.push(id),
		};
		const release: Lease["release"] = (healthy, ran) => void this.released.push([healthy, ran]);
		const abandon = () => void this.abandoned++;
		return { sandbox: sandbox as unknown as Lease["sandbox"], start: "warm", startMs: 1, initMs: 0, abandon, release };
	}
}

function delivery(changes: Partial<Delivery> = {}, body: Delivery["request"]["body"] = { text: "payload" }): Delivery {
	const request = {
		id: "inv_1",
		project: "default",
		function: "hello",
		version: 1,
		trigger: { kind: "event" as const },
		body,
		acceptedAtMs: 0,
		timeoutMs: 1000,
	};
	const never = new AbortController().signal;
	return { request, attempt: 1, lane: "interactive", queueMs: 7, lost: never, cancelled: never, begin: () => true, ...changes };
}

const remap = async (error: FunctionError): Promise<FunctionError> => ({ ...error, stack: "at source" });
const versionsOf = (get: () => Promise<unknown>) => ({ get }) as unknown as ReadyVersions;

function attempts(
	pool: FakePool,
	versions = versionsOf(async () => ready("hello")),
	networkMissing?: string,
	runsc: RuntimeClassReport = { version: "1" },
): Attempts {
	const metrics = new WorkerMetrics(() => []);
	return new Attempts({
		node: "node_1",
		pool: pool as unknown as Pool,
		targets: new Targets({
			versions,
			secrets: new FunctionSecrets({ values: async () => [] }, () => ""),
			networkMissing,
			runtimeClasses: { runsc },
			labels: {},
		}),
		artifacts,
		metrics,
		ends: new InvocationEnds("here"),
		spans: undefined,
		places: new GatewayPlaces(),
		tail: new LogTail("1"),
		invokes: new Invokes({ ways: { all: () => [], signature: () => ["berth-machine", ""] }, waits: () => () => undefined }),
		onTrouble: (message) => troubles.push(message),
		remap,
	});
}

const lines = (count: number, text = "x"): readonly LogLine[] => Array.from({ length: count }, () => ({ atMs: 1, stream: "stdout", text }));

describe("an attempt that succeeds", () => {
	test("says how it went, and gives its sandbox back as healthy with what it took", async () => {
		const pool = new FakePool();
		const settlement = await attempts(pool).run(delivery());
		expect(settlement).toEqual({
			attempt: {
				attempt: 1,
				outcome: "succeeded",
				start: "warm",
				phases: { queueMs: 7, startMs: 1, initMs: 0, runMs: 3 },
				usage: DONE.usage,
				limitsHit: [],
				node: "node_1",
				sandbox: "sb_1",
				finishedAtMs: expect.any(Number),
			},
			result: { body: { text: "hi" }, contentType: "text/plain" },
		});
		expect(pool.released).toEqual([[true, { runMs: 3, cpuMs: 2, end: "answered" }]]);
	});

	test.each(["interactive", "background"] as const)(
		"gets its payload from wherever it is, and leaves it there for another attempt: %s",
		async (lane) => {
			const pool = new FakePool();
			const store = lane === "background" ? artifacts.queued : artifacts.payloads;
			const payload = await store.put(Buffer.from("large"));
			await attempts(pool).run(delivery({ lane }, { payload, sizeBytes: 5 }));
			await attempts(pool).run(delivery({ lane }, { base64: Buffer.from("small").toString("base64") }));
			expect(pool.bodies).toEqual(["large", "small"]);
			expect((await store.get(payload)).toString()).toBe("large");
		},
	);

	test.each(["interactive", "background"] as const)(
		"with a large answer leaves it where it is looked for, not in the message: %s",
		async (lane) => {
			const pool = new FakePool();
			const body = Buffer.alloc(INLINE_BODY_BYTES + 1, "a");
			pool.invoke = async () => ({ ...DONE, answer: { head: { id: "inv_1", attempt: 1, waiting: false }, body } });
			const { result } = await attempts(pool).run(delivery({ lane }));
			expect(result?.body).toEqual({ payload: expect.any(String), sizeBytes: body.length });
			const store = lane === "background" ? artifacts.results : artifacts.payloads;
			expect((await store.getBody(result?.body ?? { text: "" })).length).toBe(body.length);
		},
	);

	test("has its answer's headers in the message for who waits, and none in the record of one that ran in the background", async () => {
		const pool = new FakePool();
		const response = { status: 201, headers: [["x-a", "1"]] as const };
		pool.invoke = async () => ({
			...DONE,
			answer: { head: { id: "inv_1", attempt: 1, waiting: false, response }, body: Buffer.from("hi") },
		});
		expect((await attempts(pool).run(delivery())).result?.response).toEqual(response);
		expect((await attempts(pool).run(delivery({ lane: "background" }))).result?.response).toEqual({ status: 201, headers: [] });
	});

	test("has no payload in memory while it waits for a sandbox", async () => {
		const pool = new FakePool();
		const free = Promise.withResolvers<void>();
		const acquire = vi.spyOn(pool, "acquire").mockImplementation(async () => {
			await free.promise;
			return pool.lease;
		});
		const payload = await artifacts.payloads.put(Buffer.from("large"));
		const read = vi.spyOn(artifacts.payloads, "getBody");
		const waiting = Array.from({ length: 100 }, () => attempts(pool).run(delivery({}, { payload, sizeBytes: 5 })));
		await expect.poll(() => acquire.mock.calls.length, { interval: 5 }).toBe(100);
		expect(read).not.toHaveBeenCalled();
		free.resolve();
		await Promise.all(waiting);
		expect(pool.bodies).toEqual(Array.from({ length: 100 }, () => "large"));
	});
});

describe("what it printed", () => {
	const logged = async (log: SandboxResult["log"]) => {
		const pool = new FakePool();
		pool.invoke = async () => ({ ...DONE, log });
		return (await attempts(pool).run(delivery())).logs;
	};

	test("stays in the record while it is little; nothing is nothing", async () => {
		expect(await logged({ lines: lines(3), truncated: false })).toEqual({ lines: lines(3), truncated: false });
		expect(await logged(NO_LOG)).toBeUndefined();
		expect(await logged({ lines: [], truncated: true })).toEqual({ lines: [], truncated: true });
	});

	test("after its answer is where its record says, up to a bound; nothing is nothing", async () => {
		const pool = new FakePool();
		const late = async (log: SandboxResult["log"]) => {
			pool.invoke = async () => ({ ...DONE, after: Promise.resolve(log) });
			const { logs } = await attempts(pool).run(delivery());
			if (log.lines.length > 0) await expect.poll(() => artifacts.logs.find(logs?.after ?? "")).toBeDefined();
			return await artifacts.logs.find(logs?.after ?? "");
		};
		expect(JSON.parse(String(await late({ lines: lines(3), truncated: false })))).toEqual(lines(3));
		expect(await late({ lines: [], truncated: false })).toBeUndefined();
		const much = await late({ lines: lines(20_000, ""), truncated: false });
		expect(much?.byteLength).toBeLessThanOrEqual(96 * 1024);
		expect(troubles).toEqual([]);
	});

	test.each([
		["one long line", lines(1, "y".repeat(9000))],
		["many empty ones, which cost more than their text", lines(20_000, "")],
	])("goes to the payload store when it is much: %s", async (_what, much) => {
		const logs = await logged({ lines: much, truncated: true });
		expect(logs).toEqual({ payload: expect.any(String), truncated: true });
		expect(JSON.parse((await artifacts.logs.get(logs?.payload ?? "")).toString())).toEqual(much);
	});

	test("is cut to its beginning when it can't be stored, and the attempt is what it was", async () => {
		await rm(join(directory, "logs"), { recursive: true });
		const logs = await logged({ lines: lines(1000), truncated: false });
		expect(logs?.truncated).toBe(true);
		expect(logs?.lines?.length).toBeGreaterThan(50);
		expect(logs?.lines).toEqual(lines(1000).slice(0, logs?.lines?.length));
		expect(JSON.stringify(logs?.lines).length).toBeLessThanOrEqual(8192);
		expect(troubles).toEqual(["a log couldn't be stored"]);
	});
});

describe("an attempt that fails", () => {
	test("by the function's fault is a value, with its stack in terms of the source; its sandbox goes", async () => {
		const pool = new FakePool();
		pool.invoke = async () => CRASHED;
		const { attempt } = await attempts(pool).run(delivery());
		expect(attempt).toMatchObject({ outcome: "crashed", code: "crashed", error: { message: "gone", stack: "at source" } });
		expect(pool.released).toEqual([[false, expect.anything()]]);
	});

	test("while its module is loaded is settled with what it printed", async () => {
		const pool = new FakePool();
		const log = { lines: lines(1, "loading"), truncated: false };
		pool.acquire = () => Promise.reject(new SpecialiseError("init_error", { name: "TypeError", message: "no export" }, log));
		const { attempt, logs } = await attempts(pool).run(delivery());
		expect(attempt).toMatchObject({ outcome: "init_error", code: "init_error", error: { message: "no export", stack: "at source" } });
		expect(logs).toEqual(log);
	});

	test("for want of a sandbox is the platform's failure, with the code that says so", async () => {
		const pool = new FakePool();
		pool.acquire = () => Promise.reject(new BerthError("start_timed_out", "full"));
		const { attempt } = await attempts(pool).run(delivery());
		expect(attempt).toMatchObject({ outcome: "platform_error", code: "start_timed_out", phases: { queueMs: 7, runMs: 0 } });
	});

	test("of a function that was deleted meanwhile takes no sandbox", async () => {
		const pool = new FakePool();
		pool.acquire = () => Promise.reject(new Error("it isn't asked"));
		const gone = versionsOf(() => Promise.reject(new BerthError("function_not_found", "deleted")));
		expect((await attempts(pool, gone).run(delivery())).attempt).toMatchObject({ outcome: "platform_error", code: "function_not_found" });
	});

	test("for want of its payload is the platform's failure; its sandbox, which ran nothing, is given back", async () => {
		const pool = new FakePool();
		const gone = { payload: "0".repeat(32), sizeBytes: 5 };
		const { attempt } = await attempts(pool).run(delivery({}, gone));
		expect(attempt).toMatchObject({ outcome: "platform_error", code: "platform_error", phases: { queueMs: 7, initMs: 0, runMs: 0 } });
		expect(attempt).not.toHaveProperty("sandbox");
		expect([pool.bodies, pool.released]).toEqual([[], [[true, undefined]]]);
	});

	test("for a reason nobody foresaw is a rejection, and its sandbox isn't kept", async () => {
		const pool = new FakePool();
		pool.invoke = () => Promise.reject(new Error("EBADF"));
		await expect(attempts(pool).run(delivery())).rejects.toThrow("EBADF");
		expect(pool.released).toEqual([[false, undefined]]);
	});
});

test("an attempt that is a rejection lets go of what streams: its gateway hears that body and answer broke off", async () => {
	const [bodyClosed, answerBroke] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()];
	const address = join(directory, "gateway.sock");
	const gateway = createServer((request, response) => {
		if (request.method === "GET") response.on("close", bodyClosed.resolve).write("the beginning");
		else
			request
				.on("data", () => undefined)
				.on("error", () => answerBroke.resolve("broken off"))
				.on("end", () => answerBroke.resolve("whole"));
	});
	await once(gateway.listen(address), "listening");
	try {
		const pool = new FakePool();
		pool.invoke = async (streams) => {
			streams?.answer?.begin({ id: "inv_1", attempt: 1 });
			await new Promise<void>((resolve) => streams?.answer?.write(Buffer.from("a"), resolve));
			throw new Error("EBADF");
		};
		const { request, ...rest } = delivery();
		const stream = { address: `unix:${address}`, token: "t", hasBody: true as const };
		await expect(attempts(pool).run({ ...rest, request: { ...request, stream } })).rejects.toThrow("EBADF");
		await bodyClosed.promise;
		expect(await answerBroke.promise).toBe("broken off");
	} finally {
		gateway.closeAllConnections();
		gateway.close();
	}
});

describe("a caller who went away", () => {
	test("before it began: nothing runs, the sandbox stays as it was", async () => {
		const pool = new FakePool();
		const { attempt } = await attempts(pool).run(delivery({ cancelled: AbortSignal.abort() }));
		expect(attempt).toMatchObject({ outcome: "cancelled", code: "cancelled", phases: { runMs: 0 } });
		expect([pool.bodies, pool.released]).toEqual([[], [[true, undefined]]]);
	});

	test("is told to the function; what it throws at that is a cancellation", async () => {
		const pool = new FakePool();
		const caller = new AbortController();
		pool.invoke = async () => {
			caller.abort();
			expect([pool.cancelled, pool.abandoned]).toEqual([["inv_1"], 1]);
			return { ...DONE, outcome: "handler_error", error: { name: "AbortError", message: "aborted" } };
		};
		expect((await attempts(pool).run(delivery({ cancelled: caller.signal }))).attempt.outcome).toBe("cancelled");
	});

	test.each([
		["cancelled by request", "cancelled by request while it ran; it didn't end"],
		["its caller went away", "its caller went away while it ran; it didn't end"],
		["its client took too little of the answer (BERTH_ANSWER_STALL_MS), and was cut off,", "its client took too little of the answer"],
	])("has its reason in the record, one of them: %s", async (why, words) => {
		const pool = new FakePool();
		for (const result of [
			CRASHED,
			{ ...DONE, outcome: "handler_error", error: { name: "AbortError", message: "the invocation was cancelled" } } as const,
		]) {
			const caller = new AbortController();
			pool.invoke = async () => {
				caller.abort(new Error(why));
				return result;
			};
			const { attempt } = await attempts(pool).run(delivery({ cancelled: caller.signal }));
			expect(attempt.error?.message.startsWith(result === CRASHED ? words : `${why} while it ran`)).toBe(true);
		}
	});

	test("may be answered all the same, when the function is quicker", async () => {
		const pool = new FakePool();
		const caller = new AbortController();
		pool.invoke = async () => {
			caller.abort();
			return DONE;
		};
		expect((await attempts(pool).run(delivery({ cancelled: caller.signal }))).attempt.outcome).toBe("succeeded");
	});

	test("and whose function is killed for not listening: how it was killed is our doing", async () => {
		const pool = new FakePool();
		const caller = new AbortController();
		pool.invoke = async () => {
			caller.abort();
			return CRASHED;
		};
		const { attempt } = await attempts(pool).run(delivery({ cancelled: caller.signal, lane: "background" }));
		expect(attempt).toMatchObject({
			outcome: "cancelled",
			code: "cancelled",
			error: { message: expect.stringMatching(/^cancelled by request/) },
		});
	});

	test("or asked for its end in the background, is what its record says, also when it waited for a sandbox", async () => {
		const pool = new FakePool();
		pool.acquire = () => Promise.reject(new BerthError("cancelled", "nobody waits for it any more"));
		const { attempt } = await attempts(pool).run(delivery({ cancelled: AbortSignal.abort(), lane: "background" }));
		expect(attempt).toMatchObject({ outcome: "cancelled", code: "cancelled", error: { message: "cancelled by request before it began" } });
	});
});

describe("a lease that can't be renewed", () => {
	test("kills the attempt at once", async () => {
		const pool = new FakePool();
		const lease = new AbortController();
		pool.invoke = async () => {
			lease.abort();
			await pool.killed.promise;
			return CRASHED;
		};
		await attempts(pool).run(delivery({ lost: lease.signal }));
		expect(pool.released).toEqual([[false, expect.anything()]]);
	});

	test("while it waited for a sandbox: it doesn't begin", async () => {
		const pool = new FakePool();
		const lease = new AbortController();
		pool.acquire = async () => {
			lease.abort();
			return pool.lease;
		};
		await attempts(pool).run(delivery({ lost: lease.signal }));
		expect([pool.bodies, pool.released]).toEqual([[], [[true, undefined]]]);
	});
});

test("nothing that an attempt did stays on disk when it needn't", async () => {
	await attempts(new FakePool()).run(delivery());
	for (const name of ["payloads", "queued", "results", "logs"]) expect(await readdir(join(directory, name))).toEqual([]);
});

test("a version whose network the node can't give any more ends with why, and takes no sandbox", async () => {
	const pool = new FakePool();
	pool.acquire = () => Promise.reject(new Error("a sandbox was asked for"));
	const version = ready("hello");
	const networked = versionsOf(async () => ({ ...version, manifest: { ...version.manifest, network: "internet" } }));
	const { attempt } = await attempts(pool, networked, "no nft").run(delivery());
	expect(attempt).toMatchObject({
		outcome: "platform_error",
		code: "network_unavailable",
		error: { message: "This node has no networks for functions: no nft." },
	});
	expect((await attempts(new FakePool(), undefined, "no nft").run(delivery())).attempt.outcome).toBe("succeeded");
});

test("a version whose runtime class the node hasn't got any more ends with why, and takes no sandbox", async () => {
	const pool = new FakePool();
	pool.acquire = () => Promise.reject(new Error("a sandbox was asked for"));
	const version = ready("hello");
	const classed = versionsOf(async () => ({ ...version, manifest: { ...version.manifest, runtimeClass: "runsc" } }));
	const { attempt } = await attempts(pool, classed, undefined, { missing: "it was removed" }).run(delivery());
	expect(attempt).toMatchObject({
		code: "runtime_class_unavailable",
		error: { message: "This node can't run functions under runsc: it was removed." },
	});
	expect((await attempts(new FakePool(), classed).run(delivery())).attempt.outcome).toBe("succeeded");
});
