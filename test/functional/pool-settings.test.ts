import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import type { RawAnswer } from "@berth/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, fixture, refusalOf } from "../harness/functions.js";
import { OtlpCollector } from "../harness/otlp-collector.js";
import { Stack } from "../harness/stack.js";

/** Room for one sandbox of 512 MiB at a time beside the build's, and a short patience with idle ones. */
const POOL = { BERTH_MEMORY_MIB: "1024", BERTH_IDLE_TTL_MS: "1500", BERTH_PREWARMED: "1", BERTH_MAX_INFLIGHT: "6" };
const CRASHES_ALLOWED = 3;
/** And with clients that are slow. */
const PATIENCE = { BERTH_ANSWER_STALL_MS: "1000", BERTH_BODY_STALL_MS: "1000" };

let collector: OtlpCollector;
let stack: Stack;
beforeAll(async () => {
	collector = await OtlpCollector.start();
	stack = await Stack.start({
		...POOL,
		...PATIENCE,
		BERTH_CRASHES_ALLOWED: String(CRASHES_ALLOWED),
		BERTH_RUNSC: "none",
		OTEL_EXPORTER_OTLP_ENDPOINT: collector.origin,
		OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20collected",
		OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test",
		OTEL_BSP_SCHEDULE_DELAY: "50",
	});
});
afterAll(async () => {
	await stack?.stop();
	await collector?.[Symbol.asyncDispose]();
});

async function idleOnes(name: string) {
	return (await stack.client.sandboxes()).filter((each) => each.function === name && each.state !== "retiring");
}

it("a node without gVisor refuses a function that asks for it when it is deployed, says what is missing, and keeps nothing of it", async () => {
	const refused = await refusalOf(deploy(stack, { source: fixture("counts"), runtimeClass: "runsc" }));
	expect(refused).toMatchObject({ code: "runtime_class_unavailable", detail: expect.stringContaining("BERTH_RUNSC is none") });
	expect(await stack.client.list()).toEqual([]);
});

describe("a node with little memory", () => {
	it("makes room for a new sandbox by removing the one that was idle for longest", async () => {
		const first = await deploy(stack, { source: fixture("counts"), memoryMiB: 400 });
		const second = await deploy(stack, { source: fixture("counts"), memoryMiB: 900 });
		await first.result();
		expect(await idleOnes(first.name)).toHaveLength(1);
		expect(await second.result()).toMatchObject({ invocations: 1 });
		await eventually(async () => expect(await idleOnes(first.name)).toEqual([]));
	});

	it("lets an invocation wait for room, and runs it as soon as there is some", async () => {
		const large = await deploy(stack, { source: fixture("sleeps"), memoryMiB: 900 });
		const other = await deploy(stack, { source: fixture("sleeps"), memoryMiB: 900 });
		const [one, two] = await Promise.all([large.invoke({ ms: 700 }), other.invoke({ ms: 700 })]);
		expect([one.outcome, two.outcome]).toEqual(["succeeded", "succeeded"]);
	});

	it("answers 503 when there is no room within the start budget: it may be tried again", async () => {
		const large = await deploy(stack, { source: fixture("sleeps"), memoryMiB: 900 });
		const other = await deploy(stack, { source: fixture("sleeps"), memoryMiB: 900 });
		const busy = large.invoke({ ms: 13_000 });
		await eventually(async () => expect((await idleOnes(large.name)).map(({ state }) => state)).toEqual(["busy"]));
		const refused = await other.invoke();
		expect(refused).toMatchObject({ raw: { status: 503 }, problem: { code: "start_timed_out", fault: "platform", retryable: true } });
		expect(refused).toMatchObject({ problem: { detail: expect.stringContaining("this node had no memory for one more") } });
		expect(refused.raw.headers["retry-after"]).toBeDefined();
		expect(await other.record(refused)).toMatchObject({ state: "settled", code: "start_timed_out" });
		expect((await busy).outcome).toBe("succeeded");
	});
});

describe("a function that crashes again and again", () => {
	it("has nothing started for it for a while, and its caller is told why, and when to come again; an answer ends that", async () => {
		const crashing = await deploy(stack, { source: fixture("exits") });
		const started = async () => {
			const [node] = await stack.client.stats();
			return [(node?.starts.boot ?? 0) + (node?.starts.prewarmed ?? 0), node?.failing] as const;
		};
		const [before] = await started();
		const keyed = () => crashing.invoke({}, { idempotencyKey: crashing.name });
		const crash = async () => {
			const answer = await crashing.invoke({ how: "exit" });
			expect(answer.outcome).toBe("crashed");
			return answer;
		};
		const crashed = [];
		for (let time = 0; time < CRASHES_ALLOWED; time++) crashed.push(await crash());
		// It is left alone for a second at first; after two more crashes for so long that all of this is over before.
		for (let time = 0; time < 2; time++) crashed.push(await eventually(crash));
		const [alike, refused] = await Promise.all([keyed(), crashing.invoke({})]);
		expect(alike.raw.status).toBe(503);
		expect(refused).toMatchObject({
			raw: { status: 503 },
			problem: {
				code: "function_failing",
				fault: "function",
				retryable: true,
				detail: expect.stringContaining("its process exited with code 3"),
				crashLoop: { crashes: crashed.length, outcome: "crashed", invocation: crashed.at(-1)?.id },
			},
		});
		expect(Number(refused.raw.headers["retry-after"])).toBeGreaterThanOrEqual(1);
		expect(await started()).toEqual([before + crashed.length, 1]);
		const of = { function: crashing.name, version: 1, crashes: crashed.length };
		expect((await stack.client.sandboxesAndFailing()).failing).toMatchObject([of]);
		const background = await stack.client.invokeAsync(crashing.name, { json: {} });
		// What nobody waits for is tried when the time has come, and answers.
		await eventually(async () =>
			expect(await stack.client.invocation(background.id)).toMatchObject({ outcome: "succeeded", attempts: [{ outcome: "succeeded" }] }),
		);
		expect((await stack.client.sandboxesAndFailing()).failing).toEqual([]);
		expect(await crashing.result({})).toBe("alive");
		expect((await keyed()).raw.status).toBe(200);
	});
});

describe("a node whose places are all held by functions that wait for others", () => {
	const source = `export default async ({ deep, names = [] }, ctx) => {
		if (ctx.remainingMs() > 60_000) throw new Error("the deadline isn't inherited");
		if (names.length > 0) return Promise.all(names.map((name) => ctx.invoke(name, {}).then(({ result }) => result)));
		if (deep === undefined) return "leaf";
		try { return (await ctx.invoke(ctx.function.name, { deep: deep + 1 })).result; } catch (error) { return [deep, error.code]; }
	}`;

	it("runs what they wait for, and they end", async () => {
		// Six places, of which one function may have four.
		const [leaf, other, one, two] = await Promise.all(Array.from({ length: 4 }, () => deploy(stack, { source, memoryMiB: 64 })));
		const ask = (parent = one, child = leaf) => parent?.result({ names: [child?.name] });
		const asked = Array.from({ length: 3 }, () => [ask(one, leaf), ask(two, other)]).flat();
		expect(await Promise.all(asked)).toEqual(asked.map(() => ["leaf"]));
	});

	it("goes on, however deep they wait, when their memory is all there is: each has an answer, or is told that there is none", async () => {
		const deep = await deploy(stack, { source, memoryMiB: 100 });
		const answers = await Promise.all(Array.from({ length: 4 }, () => deep.result<[number, string]>({ deep: 0 })));
		for (const answer of answers) expect(["8 too_deep", "node_full"]).toContain(answer[1] === "node_full" ? answer[1] : answer.join(" "));
		expect(await deep.result({ deep: 0 })).toEqual([8, "too_deep"]);
	});

	it("says so at once where a function waits for itself", async () => {
		const alone = await deploy(stack, { source, memoryMiB: 64, concurrency: 1 });
		expect(await alone.result({ deep: 0 })).toEqual([0, "deadlock"]);
	});

	it("runs what background invocations wait for", async () => {
		const [leaf, parent] = [await deploy(stack, { source, memoryMiB: 64 }), await deploy(stack, { source, memoryMiB: 64 })];
		const accepted = await Promise.all(
			Array.from({ length: 4 }, () => stack.client.invokeAsync(parent.name, { json: { names: [leaf.name] } })),
		);
		for (const { id } of accepted)
			await eventually(async () =>
				expect(await stack.client.invocation(id)).toMatchObject({ outcome: "succeeded", result: { json: ["leaf"] } }),
			);
	});
});

describe("clients that are slow, of functions that have nearly all of the memory", () => {
	const MIB = 1024 * 1024;
	const source = `export default {
		async fetch(request: Request): Promise<Response> {
			if (request.method === "GET") return new Response(new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(65536)) }));
			let bytes = 0;
			for await (const piece of request.body ?? []) bytes += piece.length;
			return Response.json({ bytes });
		},
	};`;

	/** A client that says this, and then does nothing. */
	function say({ name }: Deployed, head: string, body = Buffer.alloc(0)): Socket {
		const { hostname, port } = new URL(stack.url);
		const socket = connect(Number(port), hostname).on("error", () => undefined);
		const [method, ...headers] = head.split("\n");
		socket.write(
			`${method} /fn/default/${name}/ HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${stack.key}\r\n${headers.join("\r\n")}\r\n\r\n`,
		);
		socket.write(body);
		return socket;
	}

	it("one that takes no more of a streamed answer is cut off, its invocation cancelled, its slot and memory another's", async () => {
		const [streams, other] = [
			await deploy(stack, { source, memoryMiB: 900, concurrency: 1 }),
			await deploy(stack, { source, memoryMiB: 900 }),
		];
		const client = say(streams, "GET");
		const [head] = (await once(client, "data")) as [Buffer];
		client.pause();
		expect((await other.request({ method: "POST", body: Buffer.alloc(1) })).body.toString()).toBe('{"bytes":1}');
		const record = await streams.record({ id: /berth-invocation-id: (\w+)/.exec(head.toString())?.[1] ?? "" });
		expect(record).toMatchObject({ state: "settled", outcome: "cancelled", attempts: [{ outcome: "cancelled" }] });
		expect(record.streamed?.bytes).toBeGreaterThan(MIB);
		const again = await streams.request({ method: "POST", body: Buffer.alloc(2) });
		expect(again.body.toString()).toBe('{"bytes":2}');
		client.destroy();
	});

	it("one that sends no more of its body has 408, its function's reading fails, and the sandbox serves on", async () => {
		const reads = await deploy(stack, { source, memoryMiB: 64, concurrency: 1 });
		const answer = await text(say(reads, `POST\ncontent-length: ${7 * MIB}`, Buffer.alloc(MIB)));
		expect(answer).toMatch(/^HTTP\/1\.1 408 .*less than 64 KiB of the body came in 1 s/s);
		const next = await reads.request({ method: "POST", body: Buffer.alloc(7 * MIB) });
		expect(next.body.toString()).toBe(`{"bytes":${7 * MIB}}`);
	});
});

describe("a sandbox that nobody uses", () => {
	it("is removed after the idle time", async () => {
		const deployed = await deploy(stack, { source: fixture("counts") });
		await deployed.result();
		expect(await idleOnes(deployed.name)).toHaveLength(1);
		await eventually(async () => expect(await idleOnes(deployed.name)).toEqual([]));
		expect(await deployed.result()).toMatchObject({ invocations: 1 });
	});
});

describe("more invocations than a function's share of the gateway's places", () => {
	it("are answered 429 at once, and the others succeed, as do those of another function meanwhile", async () => {
		const other = await deploy(stack, { source: fixture("counts"), memoryMiB: 64 });
		const deployed = await deploy(stack, { source: fixture("sleeps"), memoryMiB: 64, concurrency: 2 });
		const refused: RawAnswer[] = [];
		const send = async (ms: number) => {
			const answer = await stack.client.invokeRaw(deployed.name, { json: { ms } });
			if (answer.status !== 200) refused.push(answer);
			return answer.status;
		};
		// The others wait behind these, however slowly they are sent.
		const held = [send(5000), send(5000)];
		await eventually(async () => expect((await idleOnes(deployed.name)).map(({ state }) => state)).toEqual(["busy", "busy"]));
		const sent = [...held, ...Array.from({ length: 18 }, () => send(1))];
		await eventually(() => expect(refused).toHaveLength(15));
		expect(await other.result()).toMatchObject({ invocations: 1 });
		for (const { status, headers } of refused) expect([status, headers["retry-after"]]).toEqual([429, "1"]);
		expect((await Promise.all(sent)).filter((status) => status === 200)).toHaveLength(5);
		await eventually(async () => expect(await deployed.result()).toBe("slept"));
	});
});

describe("an OpenTelemetry collector", () => {
	const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
	const CALLER = "00f067aa0ba902b7";
	const SAMPLED = { traceparent: `00-${TRACE}-${CALLER}-01` };

	it("gets a span of the gateway, of each attempt and of its phases, as one tree below the caller's; its function's go below the run", async () => {
		const source = `export const handler = async (event: any) => ({ statusCode: 200, headers: { "x-parent": event.headers.traceparent }, body: "" });`;
		const deployed = await deploy(stack, { source });
		const answers = [await deployed.request({ headers: SAMPLED }), await deployed.request({ headers: SAMPLED })];
		const ids = answers.map((answer) => String(answer.headers["berth-invocation-id"]));
		const spansOf = (id: string) => {
			const attempt = collector.spans.find(({ name, attributes }) => name === "attempt" && attributes["faas.invocation_id"] === id);
			const accept = collector.spans.find(({ name, attributes }) => name === "gateway.accept" && attributes["faas.invocation_id"] === id);
			return { accept, attempt, phases: collector.spans.filter(({ parentSpanId }) => parentSpanId === attempt?.spanId) };
		};
		await eventually(async () => {
			for (const id of ids) {
				expect(spansOf(id).phases.map(({ name }) => name)).toContain("run");
				expect(spansOf(id).accept).toBeDefined();
			}
		});
		for (const [at, id] of ids.entries()) {
			const { accept, attempt, phases } = spansOf(id);
			expect(accept).toMatchObject({
				traceId: TRACE,
				parentSpanId: CALLER,
				kind: 2,
				resource: { "service.name": "berth", "deployment.environment": "test" },
			});
			expect(attempt).toMatchObject({
				traceId: TRACE,
				parentSpanId: accept?.spanId,
				attributes: { "berth.outcome": "succeeded", "berth.attempt": 1 },
			});
			// A warm sandbox loads nothing; that it was waited for at all is its start.
			const names = phases.map(({ name }) => name);
			expect(at === 0 ? names : names.filter((name) => name !== "start")).toEqual(
				at === 0 ? ["queue", "start", "init", "run"] : ["queue", "run"],
			);
			expect(phases.at(-1)?.spanId).toBe(String(answers[at]?.headers["x-parent"]).split("-")[2]);
			for (const [before, after] of phases.slice(1).map((after, index) => [phases[index], after]))
				expect(after?.startMs).toBeCloseTo(before?.endMs ?? 0, 1);
			expect(phases.at(-1)?.endMs).toBeLessThanOrEqual((accept?.endMs ?? 0) + 1);
		}
		expect(new Set(collector.authorizations)).toEqual(new Set(["Bearer collected"]));
	});

	it("gets attempts that fail as errors, each try of its own, and nothing of a trace that its caller doesn't record", async () => {
		const deployed = await deploy(stack, { source: "export default () => { throw new Error('on purpose'); };" });
		await deployed.request({ headers: { traceparent: `00-${TRACE}-${CALLER}-00` } });
		const { id } = await stack.client.invokeAsync(deployed.name);
		const attempts = () =>
			collector.spans.filter(({ name, attributes }) => name === "attempt" && attributes["faas.name"] === deployed.name);
		const accepted = () =>
			collector.spans.find(({ name, attributes }) => name === "gateway.accept" && attributes["faas.invocation_id"] === id);
		await eventually(async () => {
			expect(attempts()).toHaveLength(3);
			expect(accepted()).toBeDefined();
		});
		expect(attempts().map(({ attributes }) => attributes["berth.attempt"])).toEqual([1, 2, 3]);
		for (const attempt of attempts())
			expect(attempt).toMatchObject({ kind: 5, status: { code: 2, message: "on purpose" }, attributes: { "faas.invocation_id": id } });
		expect(accepted()?.kind).toBe(4);
	});
});
