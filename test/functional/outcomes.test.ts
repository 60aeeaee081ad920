import type { InvokeAnswer } from "@berth/client";
import { ERRORS, type ErrorCode, FIXED_LIMITS } from "@berth/contracts";
import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, fixture, header, json } from "../harness/functions.js";
import { sandboxCgroupsOf, sandboxProcessesOf } from "../harness/leftovers.js";
import { send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

/** The HTTP status, the problem, the headers and the stored record say the same about a failure. */
async function agreed(deployed: Deployed, answer: InvokeAnswer, outcome: ErrorCode): Promise<void> {
	const { status, fault } = ERRORS[outcome];
	expect(answer.outcome).toBe(outcome);
	expect(answer.raw.status).toBe(status);
	expect(header(answer.raw, "content-type")).toBe("application/problem+json");
	expect(answer.problem).toMatchObject({ code: outcome, status, fault, outcome, invocation: answer.id });
	expect(await deployed.record(answer)).toMatchObject({ state: "settled", outcome, code: outcome, error: { name: expect.any(String) } });
}

/** It takes the whole start budget, so it begins before everything else does. */
let hanging: Promise<readonly [Deployed, InvokeAnswer]>;
beforeAll(() => {
	hanging = deploy(stack, { source: fixture("hangs-at-load") }).then(async (deployed) => [deployed, await deployed.invoke()] as const);
	// Whoever awaits it hears of it.
	hanging.catch(() => undefined);
});

describe("a handler that throws", () => {
	it("is a handler_error, and its sandbox goes on serving", async () => {
		const deployed = await deploy(stack, { source: fixture("throws") });
		const answer = await deployed.invoke({ message: "no such order" });
		await agreed(deployed, answer, "handler_error");
		expect(answer.problem).toMatchObject({ detail: "RangeError: no such order", error: { name: "RangeError" } });
		const again = await deployed.invoke();
		expect((await deployed.record(again)).start).toBe("warm");
	});

	it.each(["throw null;", "throw undefined;", "throw 'text';", "throw { code: 1 };", "throw new Proxy({}, { get() { throw 1; } });"])(
		"%s is one, too",
		async (statement) => {
			const deployed = await deploy(stack, { source: `export default () => { ${statement} };` });
			await agreed(deployed, await deployed.invoke(), "handler_error");
		},
	);
});

describe("a module that doesn't load", () => {
	it("because it throws is an init_error with the error", async () => {
		const deployed = await deploy(stack, { source: fixture("throws-at-load") });
		const answer = await deployed.invoke();
		await agreed(deployed, answer, "init_error");
		expect(answer.problem).toMatchObject({ detail: "Error: no database" });
	});

	it("because it never ends loading is an init_error after the start budget", async () => {
		const [deployed, answer] = await hanging;
		await agreed(deployed, answer, "init_error");
		const record = await deployed.record(answer);
		expect(record.phases?.runMs).toBe(0);
	});

	it("because it exits is an init_error", async () => {
		const deployed = await deploy(stack, { source: "process.exit(0); export default () => 1;" });
		await agreed(deployed, await deployed.invoke(), "init_error");
	});

	it("because it needs too much memory is out_of_memory", async () => {
		const source = "const kept = []; for (;;) kept.push(Buffer.alloc(1024 * 1024, 1)); export default () => kept.length;";
		const deployed = await deploy(stack, { source });
		await agreed(deployed, await deployed.invoke(), "out_of_memory");
	});
});

describe("a handler that doesn't answer in time", () => {
	it.each([
		["burns", { burn: true }],
		["never-settles", { hang: true }],
	])("because it %s is timed_out, and nothing of it runs once that is said", async (name, payload) => {
		const deployed = await deploy(stack, { source: fixture(name), timeoutMs: 600 });
		const answer = await deployed.invoke(payload);
		const { sandbox = "" } = await deployed.record(answer);
		expect(sandboxProcessesOf(stack.dataDir, sandbox)).toEqual([]);
		await agreed(deployed, answer, "timed_out");
		await eventually(() => expect(sandboxCgroupsOf(stack.dataDir)).not.toContain(sandbox));
		expect(await deployed.result({})).toBe("alive");
	});

	it("is ended by the caller's shorter deadline", async () => {
		const deployed = await deploy(stack, { source: fixture("burns"), timeoutMs: 20_000 });
		const answer = await deployed.invoke({ burn: true }, { timeoutMs: 300 });
		await agreed(deployed, answer, "timed_out");
		expect(answer.problem?.detail).toContain("300 ms");
	});
});

describe("a function that needs more memory than it has", () => {
	it.each(["fills-heap", "fills-buffers"])("because it %s is out_of_memory, and the next invocation has a new sandbox", async (name) => {
		const deployed = await deploy(stack, { source: fixture(name) });
		await agreed(deployed, await deployed.invoke({ fill: true }), "out_of_memory");
		expect(await deployed.result({})).toBe("alive");
	});

	it("because /tmp is larger than its memory is out_of_memory: scratch is charged", async () => {
		const deployed = await deploy(stack, { source: fixture("fills-scratch"), tmpfsMiB: 256 });
		await agreed(deployed, await deployed.invoke({ fill: true }), "out_of_memory");
		expect(await deployed.result({})).toBe("alive");
	});

	it("leaves its neighbour alone", async () => {
		const neighbour = await deploy(stack, { source: fixture("sleeps") });
		const hungry = await deploy(stack, { source: fixture("fills-buffers") });
		const [slept, filled] = await Promise.all([neighbour.invoke({ ms: 1000 }), hungry.invoke({ fill: true })]);
		expect([slept.outcome, filled.outcome]).toEqual(["succeeded", "out_of_memory"]);
	});

	it("is not one that makes much garbage: at 128 MiB it is left alive", async () => {
		const deployed = await deploy(stack, { source: fixture("makes-garbage") });
		for (let round = 0; round < 5; round++) expect(await deployed.result({ rounds: 20 })).toBe(400_000);
	});
});

describe("a process that ends", () => {
	it.each(["exit", "kill", "abort", "late"])("by %s is crashed, and the next invocation has a new one", async (how) => {
		const deployed = await deploy(stack, { source: fixture("exits") });
		const answer = await deployed.invoke({ how });
		await agreed(deployed, answer, "crashed");
		expect(await deployed.result({})).toBe("alive");
	});

	it("by an error that nobody catches leaves that error in the log", async () => {
		const deployed = await deploy(stack, { source: fixture("exits") });
		const record = await deployed.record(await deployed.invoke({ how: "late" }));
		const log = record.logs.map(({ text }) => text).join("\n");
		expect(log).toContain("uncaught: Error: nobody catches this");
		// Its own frames are what helps.
		expect(log).not.toMatch(/node:|\/berth\//);
	});
});

describe("bodies over the limit", () => {
	const { bodyBytes } = FIXED_LIMITS;

	it("of a response are response_too_large, up to it they are answered", async () => {
		const deployed = await deploy(stack, { source: fixture("answers-too-much"), memoryMiB: 256 });
		expect((await deployed.invoke({ bytes: bodyBytes })).raw.body.length).toBe(bodyBytes);
		await agreed(deployed, await deployed.invoke({ bytes: bodyBytes + 1 }), "response_too_large");
		expect(await deployed.result({ bytes: 2 })).toBe("xx");
	});

	it("of a response's headers are response_too_large, up to it they are answered", async () => {
		const source = `export default { fetch: async (request) => {
			const { headers, bytes } = await request.json();
			return new Response("ok", { headers: Array.from({ length: headers }, (_, i) => ["x-" + i, "y".repeat(bytes)]) });
		} };`;
		const deployed = await deploy(stack, { source });
		expect(header((await deployed.invoke({ headers: 10, bytes: 1000 })).raw, "x-9")).toBe("y".repeat(1000));
		// Below and above what a frame of the agent's may have in its head.
		for (const [headers, bytes] of [
			[65, 1024],
			[250, 1200],
		]) {
			const answer = await deployed.invoke({ headers, bytes });
			await agreed(deployed, answer, "response_too_large");
			expect(answer.problem?.detail).toMatch(/headers have \d+ bytes, the limit is 65536/);
		}
		expect((await deployed.record(await deployed.invoke({ headers: 0, bytes: 0 }))).start).toBe("warm");
	});

	it("of a streamed response without an end that is waited for are response_too_large or out_of_memory, never a hang", async () => {
		const source = `export default { fetch: () => new Response(new ReadableStream({
			pull(controller) { controller.enqueue(new Uint8Array(65536)); } })) };`;
		const deployed = await deploy(stack, { source, timeoutMs: 10_000, background: { attempts: 1 } });
		const { id } = await stack.client.invokeAsync(deployed.name);
		await eventually(async () => expect((await deployed.record({ id })).state).toBe("settled"));
		expect(["response_too_large", "out_of_memory"]).toContain((await deployed.record({ id })).outcome);
	});

	it.each(["declared", "chunked"])("of a request (%s) are 413, and nothing runs", async (kind) => {
		const { name } = await deploy(stack, { source: "export default (p: any) => p.length;" });
		const body = Buffer.alloc(bodyBytes + 1, 0x61);
		const request = { method: "POST", path: `/v1/functions/${name}/invocations` };
		const answer = kind === "declared" ? await send(stack, { ...request, body }) : await sendChunked(request.path, body);
		expect(json(answer)).toMatchObject({ status: 413, code: "body_too_large", limitBytes: bodyBytes });
		expect((await stack.client.invoke(name, { bytes: "ok", contentType: "text/plain" })).raw.body.toString()).toBe("2");
	});

	async function sendChunked(path: string, body: Buffer) {
		const chunks = new ReadableStream({
			start(controller) {
				controller.enqueue(body);
				controller.close();
			},
		});
		const init = { method: "POST", headers: { authorization: `Bearer ${stack.key}` }, body: chunks, duplex: "half" } as RequestInit;
		const answer = await fetch(`${stack.url}${path}`, init);
		return { body: Buffer.from(await answer.arrayBuffer()) };
	}
});
