import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseServerTiming } from "@berth/client";
import { describe, expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, header, json, traceIn } from "../harness/functions.js";
import { send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

function settled(deployed: Deployed, id: string) {
	return eventually(async () => {
		const record = await deployed.record({ id });
		expect(record.state).toBe("settled");
		return record;
	});
}

describe("an invocation", () => {
	it("answers with its id and how long each part took, and its record says the same", async () => {
		const deployed = await deploy(stack, { source: "export default () => { console.log('out'); console.error('err'); return 1; };" });
		const answer = await deployed.invoke();
		expect(answer.id).toMatch(/^inv_[0-9a-z]{26}$/);
		const timing = parseServerTiming(header(answer.raw, "server-timing"));
		expect(Object.keys(timing)).toEqual(["traceparent", "queue", "start", "init", "run", "total"]);
		expect(timing["start"]?.description).toMatch(/^(?:prewarmed|boot)$/);
		const record = await deployed.record(answer);
		expect(record).toMatchObject({
			id: answer.id,
			project: "default",
			function: deployed.name,
			version: 1,
			lane: "interactive",
			state: "settled",
			outcome: "succeeded",
			attempt: 1,
			start: timing["start"]?.description,
			limitsHit: [],
			logsTruncated: false,
		});
		for (const phase of ["queue", "start", "init", "run"] as const) {
			expect(timing[phase]?.durationMs).toBeCloseTo(record.phases?.[`${phase}Ms`] ?? -1, 1);
		}
		expect(record.usage?.cpuMs).toBeGreaterThan(0);
		expect(record.usage?.peakMemoryBytes).toBeGreaterThan(1024 * 1024);
		expect(record.logs.map(({ stream, text }) => `${stream}: ${text}`).sort()).toEqual(["stderr: err", "stdout: out"]);
		expect(Date.parse(record.finishedAt ?? "")).toBeGreaterThanOrEqual(Date.parse(record.acceptedAt));
	});

	it("of a sandbox that has run before is warm, and says so", async () => {
		const deployed = await deploy(stack, { source: "export default () => 1;" });
		await deployed.invoke();
		const timing = parseServerTiming(header((await deployed.invoke()).raw, "server-timing"));
		expect(timing["start"]?.description).toBe("warm");
		expect(timing["init"]?.durationMs).toBe(0);
	});

	it("may be given a shorter deadline than the function's, but not a longer one", async () => {
		const source = "export default (_: unknown, ctx: any) => ctx.remainingMs();";
		const deployed = await deploy(stack, { source, timeoutMs: 5000 });
		const left = async (timeoutMs: number) => Number((await deployed.invoke({}, { timeoutMs })).raw.body.toString());
		expect(await left(1500)).toBeLessThanOrEqual(1500);
		const capped = await left(60_000);
		expect(capped).toBeGreaterThan(1500);
		expect(capped).toBeLessThanOrEqual(5000);
	});

	it.each(["0", "9", "-5", "1.5", "soon", "1e9x"])("with the deadline %s is refused before anything runs", async (value) => {
		const { name } = await deploy(stack, { source: "export default () => 1;" });
		const answer = await send(stack, { method: "POST", path: `/v1/functions/${name}/invocations`, headers: [["berth-timeout-ms", value]] });
		expect(json(answer)).toMatchObject({ status: 400, code: "invalid_request", issues: [{ field: "berth-timeout-ms" }] });
	});
});

describe("an invocation in the background", () => {
	it("is answered 202 with the place of its record, which has its result in the end", async () => {
		const deployed = await deploy(stack, { source: "export default (p: any) => { console.log('ran'); return { double: p.n * 2 }; };" });
		const answer = await send(stack, {
			method: "POST",
			path: `/v1/functions/${deployed.name}/invocations`,
			headers: [
				["prefer", "respond-async"],
				["content-type", "application/json"],
			],
			body: '{"n":21}',
		});
		expect(answer.status).toBe(202);
		expect(answer.headers["preference-applied"]).toBe("respond-async");
		const { id } = json<{ id: string }>(answer);
		expect(answer.headers.location).toBe(`/v1/invocations/${id}`);
		expect(answer.headers["berth-invocation-id"]).toBe(id);
		const record = await settled(deployed, id);
		expect(record).toMatchObject({
			lane: "background",
			outcome: "succeeded",
			attempt: 1,
			version: 1,
			result: { contentType: "application/json", json: { double: 42 } },
		});
		expect(record.logs.map(({ text }) => text)).toEqual(["ran"]);
	});

	it("is run by the version that was live when it was accepted", async () => {
		const one = await deploy(stack, { source: "export default () => 'one';" });
		const { id } = await stack.client.invokeAsync(one.name);
		await deploy(stack, { name: one.name, source: "export default () => 'two';" });
		expect(await settled(one, id)).toMatchObject({ version: 1, result: { text: "one" } });
	});

	it("that fails is tried again with a higher attempt, and a success then counts", async () => {
		const source = `export default (_: unknown, ctx: any) => {
			if (ctx.attempt === 1) throw new Error("the first time");
			return { attempt: ctx.attempt }; };`;
		const deployed = await deploy(stack, { source });
		const { id } = await stack.client.invokeAsync(deployed.name);
		expect(await settled(deployed, id)).toMatchObject({ outcome: "succeeded", attempt: 2, result: { json: { attempt: 2 } } });
	});

	it("that always fails is given up after three attempts, with its error in the record", async () => {
		const deployed = await deploy(stack, { source: "export default () => { throw new TypeError('never'); };" });
		const { id } = await stack.client.invokeAsync(deployed.name);
		const record = await eventually(async () => {
			const found = await deployed.record({ id });
			expect(found).toMatchObject({ state: "settled", attempt: 3 });
			return found;
		}, 40_000);
		expect(record).toMatchObject({ outcome: "handler_error", error: { name: "TypeError", message: "never" } });
	});

	it("carries payloads and results that are larger than a message", async () => {
		const deployed = await deploy(stack, { source: "export default (text: string) => text + text;" });
		const text = "x".repeat(1024 * 1024);
		const { id } = await stack.client.invokeAsync(deployed.name, { bytes: text, contentType: "text/plain" });
		const record = await settled(deployed, id);
		expect(record.result?.text?.length).toBe(2 * text.length);
		await expect.poll(() => readdirSync(join(stack.dataDir, "artifacts", "queued"))).toEqual([]);
	});

	it("runs no more at a time than its manifest says, and later when it is asked to", async () => {
		const source = `export default async () => { const from = Date.now(); await new Promise((end) => setTimeout(end, 50)); return [from, Date.now()]; };`;
		const deployed = await deploy(stack, { source, background: { concurrency: 1 } });
		const runAt = new Date(Date.now() + 500);
		const later = await stack.client.invokeAsync(deployed.name, undefined, { runAt });
		expect(later.runAt).toBe(runAt.toISOString());
		const ids = await Promise.all(Array.from({ length: 5 }, async () => (await stack.client.invokeAsync(deployed.name)).id));
		const runs = await Promise.all(
			[later.id, ...ids].map(async (id) => (await settled(deployed, id)).result as { json: [number, number] }),
		);
		const [last, ...others] = runs.map(({ json: times }) => times);
		expect(last?.[0]).toBeGreaterThanOrEqual(runAt.getTime());
		others.sort(([a], [b]) => a - b);
		for (const [at, [from]] of others.entries()) expect(from).toBeGreaterThanOrEqual(others[at - 1]?.[1] ?? 0);
	});

	it("that waits for a function which is deleted, paused as it was, ends as cancelled and never runs", async () => {
		const deployed = await deploy(stack, { source: "export default () => 1;" });
		expect(await stack.client.pause(deployed.name)).toMatchObject({ paused: true });
		const { id } = await stack.client.invokeAsync(deployed.name);
		await stack.client.remove(deployed.name);
		expect(await settled(deployed, id)).toMatchObject({ outcome: "cancelled", attemptCount: 1, phases: { runMs: 0 } });
	});

	it("of a burst of a hundred is run for each of them exactly once", async () => {
		const deployed = await deploy(stack, { source: "export default (p: any) => p;" });
		const ids = await Promise.all(
			Array.from({ length: 100 }, async (_, n) => (await stack.client.invokeAsync(deployed.name, { json: { n } })).id),
		);
		expect(new Set(ids).size).toBe(100);
		const records = await Promise.all(ids.map((id) => settled(deployed, id)));
		expect(records.map(({ result }) => (result as { json: { n: number } }).json.n).sort((a, b) => a - b)).toEqual(
			Array.from({ length: 100 }, (_, n) => n),
		);
		expect(new Set(records.map(({ attempt }) => attempt))).toEqual(new Set([1]));
	});
});

describe("a function's context", () => {
	it("names the invocation, the attempt, the function and the deadline", async () => {
		const source = `export default (_: unknown, ctx: any) => ({
			id: ctx.invocationId, attempt: ctx.attempt, fn: ctx.function, left: ctx.deadline - Date.now(), remaining: ctx.remainingMs() });`;
		const deployed = await deploy(stack, { source, timeoutMs: 4000 });
		const answer = await deployed.invoke();
		const seen = json<{ left: number; remaining: number }>(answer.raw);
		expect(seen).toMatchObject({ id: answer.id, attempt: 1, fn: { project: "default", name: deployed.name, version: 1 } });
		for (const ms of [seen.left, seen.remaining]) {
			expect(ms).toBeGreaterThan(0);
			expect(ms).toBeLessThanOrEqual(4000);
		}
	});

	it("has the variables of the manifest and none of ours", async () => {
		const source = `export default { fetch: (_: Request, env: any) =>
			Response.json({ fromEnv: env.GREETING, fromProcess: process.env.GREETING, names: Object.keys(process.env).sort() }) };`;
		const deployed = await deploy(stack, { source, env: { GREETING: "hé llo\n$PATH", EMPTY: "" } });
		const seen = await deployed.result<{ names: string[] }>();
		expect(seen).toMatchObject({ fromEnv: "hé llo\n$PATH", fromProcess: "hé llo\n$PATH" });
		expect(seen.names).toEqual(expect.arrayContaining(["EMPTY", "GREETING"]));
		expect(seen.names.filter((name) => name.startsWith("BERTH") || name.startsWith("npm_"))).toEqual([]);
	});

	it("aborts its signal in time for the function to answer before it is killed", async () => {
		const source = `export default (_: unknown, ctx: any) => new Promise((resolve) =>
			ctx.signal.addEventListener("abort", () => resolve({ aborted: true, left: ctx.remainingMs() })));`;
		const deployed = await deploy(stack, { source, timeoutMs: 2000 });
		const seen = await deployed.result<{ left: number }>();
		expect(seen).toMatchObject({ aborted: true });
		expect(seen.left).toBeGreaterThan(0);
	});

	it("logs with a level and fields, one line each", async () => {
		const source = "export default (_: unknown, ctx: any) => { ctx.log.info('paid', { order: 7 }); ctx.log.error('lost'); };";
		const deployed = await deploy(stack, { source });
		const { logs } = await deployed.record(await deployed.invoke());
		expect(logs.map(({ text }) => JSON.parse(text))).toEqual([
			{ level: "info", message: "paid", order: 7 },
			{ level: "error", message: "lost" },
		]);
	});

	it("keeps the sandbox awake for waitUntil after the answer", async () => {
		const source = `let finished = 0;
			export default (ask: any, ctx: any) => {
				if (ask === "finished?") return finished;
				ctx.waitUntil(new Promise((resolve) => setTimeout(() => { finished++; resolve(1); }, 300)));
				return "answered"; };`;
		// With one sandbox whoever asks next waits for what the first has left open.
		const deployed = await deploy(stack, { source, concurrency: 1 });
		expect(await deployed.result("work")).toBe("answered");
		expect(await deployed.result("finished?")).toBe(1);
	});

	it("keeps a sandbox whose waitUntil was over with the answer, also one that failed", async () => {
		const source = `let served = 0;
			export default (ask: any, ctx: any) => {
				ctx.waitUntil(Promise.resolve());
				served++;
				if (ask === "fail") throw new Error("on purpose");
				return served; };`;
		const deployed = await deploy(stack, { source });
		expect(await deployed.result("work")).toBe(1);
		await deployed.invoke("fail");
		expect(await deployed.result("work")).toBe(3);
	});
});

describe("a stack trace", () => {
	/** Lines as people count them: the throw is on line 7. */
	const THROWS = `interface Order { readonly id: number }

type Orders = readonly Order[];

function refuse(order: Order): never {
	// a comment that the bundle hasn't got
	throw new RangeError(\`no order \${order.id}\`);
}

async function check(orders: Orders): Promise<void> {
	await new Promise((resolve) => setTimeout(resolve, 1));
	for (const order of orders) refuse(order);
}

export default async function handle(): Promise<void> {
	await check([{ id: 7 }]);
}
`;

	it("names file and line of the TypeScript source, through asynchronous frames", async () => {
		const deployed = await deploy(stack, { source: THROWS, filename: "orders.ts" });
		const { problem } = await deployed.invoke();
		const trace = traceIn(problem);
		expect(trace).toContain("RangeError: no order 7");
		expect(trace).toMatch(/refuse .*orders\.ts:7:\d+/);
		expect(trace).toMatch(/check .*orders\.ts:12:\d+/);
		expect(trace).toMatch(/handle .*orders\.ts:16:\d+/);
		expect((await deployed.record(await deployed.invoke())).error?.stack).toContain("orders.ts:7");
	});

	it("of an error while the module is loaded names them, too", async () => {
		const source =
			"const table: Record<string, () => number> = {};\n\nexport const first: number = (table['missing'] as () => number)();\nexport default () => first;\n";
		const { problem } = await (await deploy(stack, { source, filename: "load.ts" })).invoke();
		expect(problem).toMatchObject({ code: "init_error", error: { name: "TypeError" } });
		expect(traceIn(problem)).toMatch(/load\.ts:3:\d+/);
	});

	it("leads into the files of an archive, and shows causes", async () => {
		const bytes = tarGz(
			{ path: "index.ts", body: "import { pay } from './lib/pay.js';\nexport default () => pay();\n" },
			{
				path: "lib/pay.ts",
				body: "export function pay(): void {\n\tlet cause: unknown;\n\ttry {\n\t\tJSON.parse('{');\n\t} catch (error) {\n\t\tcause = error;\n\t}\n\tthrow new Error('unpaid', { cause });\n}\n",
			},
		);
		const { name } = await deploy(stack, { source: "export default () => 0;" });
		await stack.client.deployArchive(name, { kind: "tar.gz", bytes });
		const { problem } = await stack.client.invoke(name);
		const text = traceIn(problem);
		expect(text).toMatch(/pay .*lib\/pay\.ts:8:\d+/);
		expect(text).toContain("Caused by: SyntaxError");
	});

	it("isn't shown to a stranger of a public function", async () => {
		const deployed = await deploy(stack, { source: "export default () => { throw new Error('the secret is 4711'); };", public: true });
		const answer = await send(stack, { path: `/fn/default/${deployed.name}/`, key: null });
		expect(answer.status).toBe(502);
		expect(answer.body.toString()).not.toContain("4711");
		expect(answer.body.toString()).not.toContain("index.ts");
		const id = answer.headers["berth-invocation-id"] as string;
		expect((await deployed.record({ id })).error?.message).toBe("the secret is 4711");
	});
});
