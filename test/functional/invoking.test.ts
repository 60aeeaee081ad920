import { beforeAll, describe, expect, it } from "vitest";
import { type Deployed, deploy, json, traceIn } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

/** Invokes what its payload says, and tells what came of it. */
const ASKER = `export default async ({ name, payload, options, also = 0 }, ctx) => {
	const tell = async () => {
		try { return await ctx.invoke(name, payload, options); }
		catch ({ name, message, code, outcome, invocationId, retryable }) { return { error: { name, message, code, outcome, invocationId, retryable } }; }
	};
	const answer = await tell();
	for (let n = 0; n < also; n++) await tell();
	return answer;
}`;
/** Does what its payload says. */
const ASKED = `export default async (payload, ctx) => {
	if (payload?.throws) throw new TypeError(payload.throws);
	if (payload?.sleepMs) await new Promise((resolve, reject) => {
		setTimeout(resolve, payload.sleepMs);
		ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
	});
	if (payload?.response) return new Response(payload.response.body, payload.response);
	return { payload, leftMs: ctx.remainingMs() };
}`;

interface Told {
	readonly id?: string;
	readonly status?: number;
	readonly headers?: Record<string, string>;
	readonly result?: unknown;
	readonly error?: Record<string, unknown>;
}

let asker: Deployed;
let asked: Deployed;

beforeAll(async () => {
	[asker, asked] = await Promise.all([deploy(stack, { source: ASKER }), deploy(stack, { source: ASKED })]);
});

const statesOf = async ({ name }: Deployed) =>
	(await stack.client.sandboxes()).filter((one) => one.function === name).map(({ state }) => state);
const ask = (payload: unknown, options: object = {}, name = asked.name) => asker.result<Told>({ name, payload, options });

describe("a function invokes another one, without any network", () => {
	it("and gets what it returns, as a value; the record says of whom it comes", async () => {
		const answer = await asker.invoke({ name: asked.name, payload: { a: [1, "ü"] } });
		const told = json<Told>(answer.raw);
		expect(told).toMatchObject({ status: 200, result: { payload: { a: [1, "ü"] } } });
		const parent = { id: answer.id, function: asker.name };
		expect(await stack.client.invocation(told.id as string)).toMatchObject({ outcome: "succeeded", parent, depth: 1, lane: "interactive" });
		expect(await asker.record(answer)).not.toHaveProperty("parent");
	});

	it("and gets status, headers and text of a Response, by a version's name too", async () => {
		const response = { body: "teapot", status: 418, headers: { "x-a": "b" } };
		const told = await ask({ response }, {}, `${asked.name}@1`);
		expect(told).toMatchObject({ status: 418, headers: { "x-a": "b" }, result: "teapot" });
	});

	it("and is told why that failed", async () => {
		const { error } = await ask({ throws: "no" });
		expect(error).toMatchObject({
			name: "InvocationError",
			code: "handler_error",
			outcome: "handler_error",
			message: `${asked.name}: TypeError: no`,
		});
		expect(await stack.client.invocation(error?.["invocationId"] as string)).toMatchObject({ outcome: "handler_error" });
	});

	it("and fails with it, by way of how many others: each is named once, and the line that asked is in the stack", async () => {
		const passesOn = `const rest = (names) => names.length === 0 ? { throws: "no" } : names;
export default async ([name, ...names], ctx) => {
	const { result } = await ctx.invoke(name, rest(names));
	return result;
};`;
		const inPython = `
def handler(names, context):
    return context.invoke(names[0], names[1:]).result`;
		const [first, last] = await Promise.all([deploy(stack, { source: passesOn }), deploy(stack, { source: passesOn })]);
		const middle = await deploy(stack, { runtime: "python3", filename: "index.py", source: inPython });
		const { outcome, problem } = await first.invoke([middle.name, last.name, asked.name]);
		expect(outcome).toBe("handler_error");
		const failed = `${middle.name}: ${last.name}: ${asked.name}: TypeError: no`;
		expect(problem?.detail).toBe(`InvocationError: ${failed}`);
		expect(traceIn(problem)).toMatch(/^InvocationError: .+: no\n +at .*index\.ts:3:/);
		expect(traceIn(problem)).toContain(failed);
		const told = await middle.invoke([last.name, asked.name]);
		expect(traceIn(told.problem)).toContain("line 3, in handler");
	});

	it.each([
		["nobody", "function_not_found"],
		["No Name!", "invalid_name"],
		["", undefined],
	])("and is told that %j isn't one", async (name, code) => {
		expect((await ask({}, {}, name)).error).toMatchObject(code === undefined ? { name: "TypeError" } : { code });
	});

	it("no longer than it has itself: the deadline is inherited, or shorter", async () => {
		const own = await ask({});
		const shorter = await ask({ sleepMs: 20_000 }, { timeoutMs: 100 });
		expect((own.result as { leftMs: number }).leftMs).toBeLessThanOrEqual(30_000);
		expect(shorter.error).toMatchObject({ code: expect.stringMatching(/^(handler_error|timed_out)$/) });
		const answer = await asker.invoke({ name: asked.name, payload: {} }, { timeoutMs: 3000 });
		expect((json<Told>(answer.raw).result as { leftMs: number }).leftMs).toBeLessThanOrEqual(3000);
	});

	it("in the background: it has the id once that is on disk, and its own answer doesn't wait", async () => {
		const told = await ask({ later: true }, { async: true });
		expect(Object.keys(told)).toEqual(["id"]);
		await expect
			.poll(() => stack.client.invocation(told.id as string))
			.toMatchObject({ lane: "background", state: "settled", outcome: "succeeded", depth: 1, parent: { function: asker.name } });
	});

	it("once under a key, however often it asks, in whatever invocation of its own; in any language", async () => {
		const once = { async: true, idempotencyKey: "order-7" };
		const [{ id }, again] = [await ask({ n: 7 }, once), await ask({ n: 7 }, once)];
		expect([again.id, id]).toEqual([id, expect.stringMatching(/^inv_/)]);
		const { error } = await ask({ n: 8 }, once);
		expect(error).toMatchObject({ code: "idempotency_mismatch", retryable: false });
		expect(error).not.toHaveProperty("invocationId");
		const { id: waited } = await ask({ n: 7 }, { idempotencyKey: "waited" });
		expect((await ask({ n: 7 }, { idempotencyKey: "waited" })).id).toBe(waited);
		const source = `def handler(name, context):
    return [context.invoke(name, 7, background=True, idempotency_key="order-7").id for _ in range(2)]`;
		const python = await deploy(stack, { runtime: "python3", filename: "index.py", source });
		const [first, second] = await python.result<[string, string]>(asked.name);
		expect(second).toBe(first);
		expect(first).not.toBe(id);
	});

	it("and goes on without it when it aborts its signal, which ends the other one", async () => {
		const source = `export default async (name, ctx) => {
			const control = new AbortController();
			const asked = ctx.invoke(name, { sleepMs: 25_000 }, { signal: control.signal });
			setTimeout(() => control.abort(new Error("enough")), 50);
			const why = await asked.catch((error) => error.message);
			return { why, next: (await ctx.invoke(name, "next")).result.payload };
		}`;
		const impatient = await deploy(stack, { source });
		expect(await impatient.result(asked.name)).toEqual({ why: "enough", next: "next" });
	});

	it("which ends with it, when it is killed or its caller goes away", async () => {
		const source = `export default (name, ctx) => { console.log("asks"); return ctx.invoke(name, { sleepMs: 25_000 }); }`;
		const [sleeper, waits] = [await deploy(stack, { source: ASKED }), await deploy(stack, { source })];
		const hangs = await deploy(stack, { source: "export default () => new Promise((resolve) => setTimeout(resolve, 25_000))" });
		// Both have the same deadline: whichever is killed first.
		expect((await waits.invoke(hangs.name, { timeoutMs: 600 })).outcome).toMatch(/^(timed_out|handler_error)$/);
		await expect.poll(() => statesOf(hangs)).not.toContain("busy");
		const leaves = new AbortController();
		const left = waits.invoke(sleeper.name, { signal: leaves.signal }).catch(() => "left");
		await expect.poll(() => statesOf(sleeper)).toContain("busy");
		leaves.abort();
		expect(await left).toBe("left");
		await expect.poll(() => statesOf(sleeper)).not.toContain("busy");
	});

	it("with payloads and results of megabytes, many at once", async () => {
		const source = `export default async (name, ctx) => {
			const bytes = new Uint8Array(1_000_000).fill(7);
			const all = await Promise.all(Array.from({ length: 12 }, () => ctx.invoke(name, bytes)));
			return all.map(({ result }) => result.length);
		}`;
		const echo = await deploy(stack, { source: "export default (payload) => payload" });
		const fanOut = await deploy(stack, { source, memoryMiB: 256 });
		expect(await fanOut.result(echo.name)).toEqual(Array.from({ length: 12 }, () => 1_000_000));
	});

	it("and gets whole what comes in pieces, or that it was broken off", async () => {
		const source = `export default async function* (payload) {
			yield "one ";
			await new Promise((resolve) => setTimeout(resolve, 20));
			if (payload?.breaks) throw new Error("broken");
			yield "two";
		}`;
		const streams = await deploy(stack, { source });
		expect((await ask({}, {}, streams.name)).result).toBe("one two");
		expect((await ask({ breaks: true }, {}, streams.name)).error).toMatchObject({
			name: "InvocationError",
			invocationId: expect.any(String),
		});
	});

	it("at most eight deep", async () => {
		const source = `export default async (n, ctx) => {
			try { return (await ctx.invoke(ctx.function.name, n + 1)).result; } catch (error) { return [n, error.code]; }
		}`;
		const deep = await deploy(stack, { source });
		expect(await deep.result(0)).toEqual([8, "too_deep"]);
	});
});

describe("a function of Python invokes another one", () => {
	const python = (source: string) => deploy(stack, { runtime: "python3", filename: "index.py", source });

	it("and waits: it gets what that returns, or raises, by threads as many as it likes", async () => {
		const caller = await python(`
from concurrent.futures import ThreadPoolExecutor
def handler(name, context):
    answer = context.invoke(name, {"a": "ü"})
    teapot = context.invoke(name, {"response": {"body": "teapot", "status": 418}})
    with ThreadPoolExecutor(30) as threads:
        many = list(threads.map(lambda n: context.invoke(name, n).result["payload"], range(40)))
    try:
        context.invoke(name, {"throws": "no"})
    except Exception as error:
        return [answer.status, answer.result["payload"], teapot.status, teapot.result, many == list(range(40)), type(error).__name__, error.code, error.outcome, str(error)]`);
		const answer = await caller.invoke(asked.name);
		expect(answer.problem).toBeUndefined();
		expect(json<unknown[]>(answer.raw)).toEqual([
			...[200, { a: "ü" }, 418, "teapot", true],
			...["InvocationError", "handler_error", "handler_error", `${asked.name}: TypeError: no`],
		]);
	});

	it("in a coroutine, many at once; one that is cancelled is ended, and the next is asked", async () => {
		const caller = await python(`
import asyncio
async def handler(name, context):
    many = await asyncio.gather(*(context.ainvoke(name, n) for n in range(40)))
    try:
        await asyncio.wait_for(context.ainvoke(name, {"sleepMs": 25_000}), 0.05)
    except asyncio.TimeoutError:
        pass
    later = await context.ainvoke(name, background=True)
    return [[one.result["payload"] for one in many] == list(range(40)), (await context.ainvoke(name, "next")).result["payload"], later.id, later.result]`);
		const [all, next, id, result] = await caller.result<[boolean, string, string, null]>(asked.name);
		expect([all, next, result]).toEqual([true, "next", null]);
		expect(await stack.client.invocation(id)).toMatchObject({ lane: "background", parent: { function: caller.name } });
	});
});

it("the abort signal comes before the deadline, and what is answered then counts", async () => {
	const sources = [
		`export default (_, { signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason.message)));`,
		`export default { fetch: ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(new Response(signal.reason.message)))) };`,
		`def handler(event, context):\n    return "the deadline is near" if context.cancelled.wait(20) and context.remaining_ms() > 0 else "late"`,
	];
	const deployed = sources.map((source, at) =>
		deploy(stack, { source, ...(at === 2 ? { runtime: "python3" as const, filename: "index.py" } : {}) }),
	);
	const answers = (await Promise.all(deployed)).map((one) => one.invoke({}, { timeoutMs: 2000 }));
	const said = (await Promise.all(answers)).map(({ outcome, raw }) => [outcome, raw.body.toString().replaceAll('"', "")]);
	expect(said).toEqual(sources.map(() => ["succeeded", "the deadline is near"]));
});
