import { once } from "node:events";
import { parseServerTiming } from "@berth/client";
import type { ProjectEvent, TailLine } from "@berth/contracts";
import { describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy, freshName, header, json } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENT = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01`, tracestate: "vendor=1" };

describe("a trace", () => {
	it.each([
		[
			"node24",
			"export const handler = async (event: any, ctx: any) => ({ statusCode: 200, body: JSON.stringify([event.headers, ctx.traceparent, ctx.tracestate]) });",
		],
		["python3", "import json\ndef handler(event, context):\n    return [event['headers'], context.traceparent, context.tracestate]"],
	] as const)("that its caller began goes on in a function of %s, in its context and in a request's headers", async (runtime, source) => {
		const deployed = await deploy(stack, { source, runtime });
		const answer = await deployed.request({ headers: SENT });
		const [headers, traceparent, tracestate] = json<[Record<string, string>, string, string]>(answer);
		expect(traceparent).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
		expect(traceparent).not.toBe(SENT.traceparent);
		expect(tracestate).toBe(SENT.tracestate);
		expect(headers).toMatchObject({ traceparent, tracestate });
		expect(parseServerTiming(header(answer, "server-timing"))["traceparent"]?.description).toBe(traceparent);
		expect((await deployed.record({ id: String(header(answer, "berth-invocation-id")) })).traceId).toBe(TRACE);
	});
});

it("times are ours: a function with a clock of its own has the ones that it took, and its node goes on", async () => {
	const deployed = await deploy(stack, { source: "performance.now = () => 1e308; export default () => performance.now();" });
	const answer = await deployed.invoke();
	expect(answer.outcome).toBe("succeeded");
	const { phases } = await deployed.record(answer);
	for (const [name, ms] of Object.entries(phases ?? {})) expect(ms, name).toBeLessThan(60_000);
	expect(phases?.initMs).toBeGreaterThan(0);
});

describe("a log", () => {
	it.each([
		[
			"node24",
			`export default (_: unknown, ctx: any) => {
				console.log("log"); console.info("info"); console.debug("debug\\nof two lines"); console.warn("warn"); console.error("error");
				ctx.log.warn("structured", { left: 3 });
			};`,
			["info: log", "info: info", "debug: debug", "debug: of two lines", "warn: warn", "error: error"],
		],
		[
			"python3",
			`import logging, sys
logging.basicConfig(level=logging.DEBUG, format="%(message)s")
def handler(event, context):
    print("log")
    print("plain", file=sys.stderr)
    logging.info("info"); logging.debug("debug\\nof two lines"); logging.warning("warn"); logging.error("error")
    context.log.warn("structured", left=3)`,
			["info: log", "error: plain", "info: info", "debug: debug", "debug: of two lines", "warn: warn", "error: error"],
		],
	] as const)("of %s has the level that each line was printed with, and the fields of a JSON line", async (runtime, source, expected) => {
		const deployed = await deploy(stack, { source, runtime });
		const { logs } = await deployed.record(await deployed.invoke());
		const plain = logs.filter(({ fields }) => fields === undefined).map(({ level, text }) => `${level}: ${text}`);
		expect(plain.sort()).toEqual([...expected].sort());
		expect(logs.filter(({ fields }) => fields !== undefined)).toMatchObject([
			{ level: "warn", message: "structured", fields: { left: 3 } },
		]);
	});

	it.each([
		["crashed", 30_000, "process.kill(process.pid, 'SIGKILL'); await new Promise(() => {});"],
		["out_of_memory", 30_000, "const all = []; for (;;) all.push(Buffer.alloc(8 * 1024 * 1024, 1));"],
		["timed_out", 2000, "for (;;);"],
	])("of an attempt that ends as %s has all that was printed before", async (outcome, timeoutMs, end) => {
		const source = `export default async () => { for (let n = 1; n <= 500; n++) console.log("line " + n); process.stdout.write("no end"); ${end} };`;
		const deployed = await deploy(stack, { source, timeoutMs });
		const answer = await deployed.invoke();
		expect(answer.outcome).toBe(outcome);
		const printed = (await deployed.record(answer)).logs.map(({ text }) => text).filter((text) => /^(?:line|no end)/.test(text));
		expect(printed).toEqual([...Array.from({ length: 500 }, (_, at) => `line ${at + 1}`), "no end"]);
	});

	it("has what waitUntil printed after the answer, marked so, and never another invocation's", async () => {
		// Long after the answer, so that a busy worker has taken that by then: it tells by when it reads.
		const source = `export default (name: string, ctx: any) => {
			console.log("answering " + name);
			ctx.waitUntil(new Promise((resolve) => setTimeout(() => { console.warn("afterwards " + name); resolve(1); }, 1000))); };`;
		const deployed = await deploy(stack, { source, concurrency: 1 });
		const [first, second] = [await deployed.invoke("one"), await deployed.invoke("two")];
		for (const [answer, name] of [
			[first, "one"],
			[second, "two"],
		] as const) {
			await eventually(async () => {
				const { logs } = await deployed.record(answer);
				expect(logs.map(({ level, text, afterAnswer = false }) => [level, text, afterAnswer])).toEqual([
					["info", `answering ${name}`, false],
					["warn", `afterwards ${name}`, true],
				]);
			});
		}
	});
});

describe("the log of an invocation in the background", () => {
	it("has each attempt's lines, with its number", async () => {
		const source = `export default (_: unknown, ctx: any) => { console.log("try " + ctx.attempt); if (ctx.attempt === 1) throw new Error("on purpose"); };`;
		const deployed = await deploy(stack, { source });
		const { id } = await stack.client.invokeAsync(deployed.name);
		await eventually(async () => expect((await deployed.record({ id })).state).toBe("settled"));
		const { lines } = await stack.client.logs({ invocation: id });
		expect(lines.map(({ attempt, text }) => `${attempt}: ${text}`)).toEqual(["1: try 1", "2: try 2"]);
	});
});

describe("who follows logs", () => {
	it("sees lines while the invocation still runs, of the function and level asked for alone", async () => {
		const source = `export default (name: string, ctx: any) => { console.log("noise"); console.warn("hello " + name);
			return new Promise((resolve) => ctx.signal.addEventListener("abort", resolve)); };`;
		const [deployed, other] = [
			await deploy(stack, { source }),
			await deploy(stack, { source: "export default () => console.error('other');" }),
		];
		const [stop, leave] = [new AbortController(), new AbortController()];
		const seen: TailLine[] = [];
		const following = stack.client.followLogs(
			{ function: deployed.name, level: "warn" },
			{ onLine: (line) => void seen.push(line), signal: stop.signal },
		);
		const running = deployed.invoke("first", { signal: leave.signal }).catch(() => undefined);
		// What was printed before it was followed isn't shown: somebody has to print again.
		const again = setInterval(() => void deployed.invoke("again", { signal: leave.signal }).catch(() => undefined), 100);
		try {
			await other.invoke();
			await eventually(async () => expect(seen.map(({ text }) => text)).toContain("hello again"));
		} finally {
			clearInterval(again);
			leave.abort();
		}
		stop.abort();
		await Promise.all([following, running]);
		expect(new Set(seen.map((line) => `${line.function} ${line.level}`))).toEqual(new Set([`${deployed.name} warn`]));
		expect(seen[0]).toMatchObject({ stream: "stderr", version: 1, attempt: 1, invocation: expect.stringMatching(/^inv_/) });
	});

	it.each([["logs", '"text":"mark"'] as const, ["events", '"what":"succeeded"'] as const])(
		"is told on stderr by berth %s -f when nothing is missed any more, has nothing but JSON on stdout, and is done by Ctrl-C",
		async (command, mark) => {
			const deployed = await deploy(stack, { source: "export default () => console.log('mark');" });
			const following = stack.spawn(
				"--json",
				command,
				"-f",
				...(command === "logs" ? [deployed.name] : ["--kind", "invocation", deployed.name]),
			);
			const ended = once(following, "exit");
			let [said, told] = ["", ""];
			following.stderr.setEncoding("utf8").on("data", (text) => (said += text));
			following.stdout.setEncoding("utf8").on("data", (text) => (told += text));
			await eventually(() => expect(said).toBe("Following; Ctrl-C ends it.\n"));
			await deployed.invoke();
			await eventually(() => expect(told).toContain(mark));
			following.kill("SIGINT");
			expect((await ended)[0]).toBe(0);
			expect(
				told
					.trimEnd()
					.split("\n")
					.map((line) => (JSON.parse(line) as { function: string }).function),
			).toEqual([deployed.name]);
		},
	);

	it("can look at what was logged before, with the command line too", async () => {
		const deployed = await deploy(stack, { source: "console.log('loading'); export default (n: number) => console.log('number ' + n);" });
		for (const n of [1, 2, 3]) await deployed.invoke(n);
		const { lines } = await stack.client.logs({ function: deployed.name, limit: 3 });
		expect(lines.map(({ text }) => text)).toEqual(["number 1", "number 2", "number 3"]);
		const { stdout } = await stack.berth("logs", deployed.name);
		expect(
			stdout
				.split("\n")
				.filter(Boolean)
				.map((line) => line.replace(/^.* info {2}/, "")),
		).toEqual(["loading", "number 1", "number 2", "number 3"]);
	});
});

describe("who follows with the command line", () => {
	it("sees lines and events of a function as they come, as text and as a document a line, until Ctrl-C", async () => {
		const source = "export default () => { console.log('noise'); console.warn('heard'); };";
		const deployed = await deploy(stack, { source });
		const follow = (...args: readonly string[]) => {
			const child = stack.spawn(...args);
			const said = { text: "" };
			child.stdout.setEncoding("utf8").on("data", (text) => (said.text += text));
			const stop = () => {
				child.kill("SIGINT");
				return once(child, "exit");
			};
			return { said, stop };
		};
		const logs = follow("logs", "-f", deployed.name);
		const warnings = follow("--json", "logs", "-f", deployed.name, "--level", "warn");
		const events = follow("events", "-f", deployed.name);
		const ends = follow("--json", "events", "-f", deployed.name, "--kind", "invocation");
		const all = [logs, warnings, events, ends];
		// What happens before they listen isn't shown by them.
		await eventually(async () => {
			await deployed.invoke();
			for (const { said } of all) expect(said.text).toContain("\n");
		});
		expect((await Promise.all(all.map(({ stop }) => stop()))).map(([code]) => code)).toEqual([0, 0, 0, 0]);
		expect(logs.said.text).toMatch(new RegExp(`^${deployed.name} inv_\\w+ .*info {2}noise\n${deployed.name} inv_\\w+ .*warn {2}heard\n`));
		const documents = (text: string) =>
			text
				.split("\n")
				.filter(Boolean)
				.map((line) => JSON.parse(line) as Record<string, unknown>);
		for (const line of documents(warnings.said.text)) expect(line).toMatchObject({ function: deployed.name, level: "warn", text: "heard" });
		expect(events.said.text).toMatch(new RegExp(`invocation succeeded {2}${deployed.name} v1 inv_\\w+ in `));
		for (const event of documents(ends.said.text))
			expect(event).toMatchObject({ kind: "invocation", what: "succeeded", function: deployed.name });
	});
});

describe("who watches events", () => {
	it("sees a deploy, its build and how invocations end, as it happens", async () => {
		const [stop, name] = [new AbortController(), freshName()];
		const seen: ProjectEvent[] = [];
		const watching = stack.client.followEvents({ function: name }, { onEvent: (event) => void seen.push(event), signal: stop.signal });
		const told = () => new Set(seen.map(({ kind, what }) => `${kind} ${what}`));
		const deployed = await deploy(stack, {
			name,
			source: "export default (fail: boolean) => { if (fail) throw new Error('on purpose'); };",
		});
		await eventually(async () => {
			await deployed.invoke(true);
			await deployed.invoke(false);
			expect(told()).toEqual(new Set(["deploy queued", "build ready", "invocation handler_error", "invocation succeeded"]));
		});
		stop.abort();
		await watching;
		expect(seen.find(({ what }) => what === "succeeded")).toMatchObject({
			function: name,
			version: 1,
			attempt: 1,
			runMs: expect.any(Number),
		});
		const { stdout } = await stack.berth("events", name);
		expect(stdout).toMatch(/deploy queued {2}.* v1\n.*build ready {2}.* v1 on \S+\n$/);
		expect((await stack.client.events({ kind: "node" })).events.map(({ what }) => what)).toContain("joined");
	});
});
