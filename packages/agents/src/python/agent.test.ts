import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AGENT_BOUNDS, encodeFrame, FROM_AGENT, type Frame, FrameDecoder, type InvokeHead, MIB, STREAM, TO_AGENT } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const PYTHON = "/usr/bin/python3";
const EVENT: InvokeHead = {
	id: "inv_1",
	attempt: 2,
	timeoutMs: 5000,
	trigger: { kind: "event" },
	maxBodyBytes: 6 * MIB,
	maxHeaderBytes: 64 * 1024,
};
const ECHO = "def handler(event, context):\n    return event";

let directory: string;
let server: Server;
let agent: ChildProcess;
let socket: Socket;
/** Frames that came and nobody has read, and who waits for one. */
let frames: Frame[];
let waiting: ((frame: Frame) => void) | undefined;

/** The real agent, as a sandbox starts it, on a socket that the test listens on. */
beforeEach(async () => {
	directory = mkdtempSync(join(tmpdir(), "python-agent-"));
	[frames, waiting] = [[], undefined];
	const path = join(directory, "agent.sock");
	server = createServer().listen(path);
	await once(server, "listening");
	agent = spawn(PYTHON, ["-I", "-B", import.meta.dirname, path], { stdio: ["ignore", "ignore", "pipe"] });
	[socket] = (await once(server, "connection")) as [Socket];
	const decoder = new FrameDecoder(AGENT_BOUNDS);
	socket.on("error", () => socket.destroy());
	socket.on("data", (chunk: Buffer) => {
		for (const frame of decoder.push(chunk)) {
			frames.push(frame);
			waiting?.(frames[0] as Frame);
		}
	});
});
afterEach(async () => {
	socket.destroy();
	server.close();
	if (agent.exitCode === null && agent.signalCode === null) await once(agent, "exit");
	rmSync(directory, { recursive: true, force: true });
});

async function heard(type: number): Promise<{ readonly head: unknown; readonly text: string }> {
	if (frames.length === 0) await new Promise<Frame>((resolve) => (waiting = resolve));
	waiting = undefined;
	const frame = frames.shift() as Frame;
	const text = Buffer.from(frame.body).toString();
	expect([frame.type, frame.head, text.slice(0, 200)]).toEqual([type, frame.head, text.slice(0, 200)]);
	return { head: frame.head, text };
}

function say(type: number, head: object, body?: Uint8Array): void {
	socket.write(encodeFrame(type, head, body));
}

/** Gives it a source, past its hello. */
async function specialise(source: string, more: object = {}): Promise<void> {
	await heard(FROM_AGENT.hello);
	const entry = join(directory, "index.py");
	writeFileSync(entry, source);
	say(TO_AGENT.specialise, { entry, project: "default", function: "shop", version: 3, env: {}, scratch: "keep", ...more });
}

async function loaded(source: string): Promise<void> {
	await specialise(source);
	expect((await heard(FROM_AGENT.specialised)).head).toMatchObject({ handler: "event", initMs: expect.any(Number) });
}

describe("the Python agent", () => {
	test("says hello, preloads, loads a source and answers, as the protocol has it", async () => {
		expect((await heard(FROM_AGENT.hello)).head).toEqual({ python: expect.stringMatching(/^3\.\d+\.\d+/) });
		say(TO_AGENT.preload, {});
		await heard(FROM_AGENT.preloaded);
		frames.push({ type: FROM_AGENT.hello, head: {}, body: Buffer.alloc(0) });
		await loaded(ECHO);
		say(TO_AGENT.invoke, EVENT, Buffer.from('{"n":1}'));
		const { head, text } = await heard(FROM_AGENT.answer);
		expect(head).toEqual({ id: "inv_1", attempt: 2, runMs: expect.any(Number), waiting: false, contentType: "application/json" });
		expect(text).toBe('{"n":1}');
	});

	test("takes frames in whatever pieces they come, and several at once", async () => {
		await loaded(ECHO);
		const bytes = encodeFrame(TO_AGENT.invoke, EVENT, Buffer.from('"é"'));
		for (const byte of bytes) {
			socket.write(Buffer.from([byte]));
			await new Promise((resolve) => setImmediate(resolve));
		}
		expect((await heard(FROM_AGENT.answer)).text).toBe('"é"');
		socket.write(Buffer.concat([bytes, bytes]));
		expect([(await heard(FROM_AGENT.answer)).text, (await heard(FROM_AGENT.answer)).text]).toEqual(['"é"', '"é"']);
	});

	test("carries bodies of the largest size, and refuses to send a larger one", async () => {
		await loaded("def handler(event, context):\n    return event + event if len(event) < 7_000_000 // 2 else event");
		const head: InvokeHead = { ...EVENT, trigger: { kind: "event", contentType: "application/octet-stream" } };
		say(TO_AGENT.invoke, head, Buffer.alloc(6 * MIB, 1));
		expect((await heard(FROM_AGENT.answer)).text.length).toBe(6 * MIB);
		say(TO_AGENT.invoke, { ...head, maxBodyBytes: 10 }, Buffer.alloc(6, 1));
		const failed = (await heard(FROM_AGENT.failed)).head;
		expect(failed).toMatchObject({ phase: "too_large", id: "inv_1", error: { message: "the response has 12 bytes, the limit is 10" } });
	});

	test.each([
		["a graft that isn't there", ECHO, { entry: "/function/code/index.py" }, { phase: "graft" }],
		["a module that raises", "1 / 0", {}, { phase: "init", error: { name: "ZeroDivisionError", message: "division by zero" } }],
		["a module without a handler", "x = 1", {}, { phase: "no_handler" }],
		["a handler that can't be called", "handler = 1", {}, { phase: "no_handler" }],
	])("says what is wrong with %s", async (_what, source, more, failure) => {
		await specialise(source, more);
		expect((await heard(FROM_AGENT.failed)).head).toMatchObject(failure);
	});

	test("runs nothing before a function is loaded", async () => {
		await heard(FROM_AGENT.hello);
		say(TO_AGENT.invoke, EVENT);
		expect((await heard(FROM_AGENT.failed)).head).toMatchObject({ phase: "graft", id: "inv_1" });
	});

	test.each([
		["content_type='a\\nb'", "ValueError: content_type is 'a\\\\nb'"],
		["content_type=''", "ValueError: content_type is ''"],
		["content_type=5", "TypeError: content_type is 5"],
		["background='no'", "TypeError: background is 'no'"],
		["idempotency_key=5", "TypeError: idempotency_key is 5"],
		["idempotency_key='a b'", "ValueError: idempotency_key is 'a b'"],
		["timeout_ms=-1", "ValueError: timeout_ms is -1"],
		["timeout=5", "TypeError: "],
	])("raises in the handler that invokes with %s, and asks nothing", async (option, message) => {
		await loaded(
			`def handler(event, context):\n    try:\n        context.invoke('stock', 1, ${option})\n    except Exception as e:\n        return f'{type(e).__name__}: {e}'`,
		);
		say(TO_AGENT.invoke, EVENT);
		expect((await heard(FROM_AGENT.answer)).text).toContain(message);
	});

	test("takes any whole number of milliseconds for a deadline", async () => {
		await loaded("def handler(event, context):\n    return context.invoke('stock', timeout_ms=10**20).id");
		say(TO_AGENT.invoke, EVENT);
		const { head } = await heard(FROM_AGENT.question);
		expect(head).toMatchObject({ kind: "invoke", function: "stock", timeoutMs: Number.MAX_SAFE_INTEGER });
		say(TO_AGENT.reply, { question: (head as { question: number }).question, id: "inv_2" });
		expect((await heard(FROM_AGENT.answer)).text).toContain("inv_2");
	});

	test("hears a cancellation while the handler runs; one of another invocation changes nothing", async () => {
		await loaded("def handler(event, context):\n    return [context.cancelled.wait(event), context.cancelled.is_set()]");
		say(TO_AGENT.invoke, EVENT, Buffer.from("10"));
		say(TO_AGENT.cancel, { id: "inv_1" });
		expect((await heard(FROM_AGENT.answer)).text).toBe("[true,true]");
		say(TO_AGENT.invoke, EVENT, Buffer.from("0.05"));
		say(TO_AGENT.cancel, { id: "inv_0" });
		expect((await heard(FROM_AGENT.answer)).text).toBe("[false,false]");
	});

	test.each([
		["an announced length of 4 GiB", Buffer.from([0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 2, 0x7b, 0x7d]), 1],
		["a head longer than its frame", Buffer.from([0, 0, 0, 7, 3, 0x7f, 0xff, 0xff, 0xff, 0x7b, 0x7d]), 1],
		["a head that is no JSON", Buffer.from([0, 0, 0, 7, 3, 0, 0, 0, 2, 0x7b, 0x7b]), 1],
		["a frame that is cut off", Buffer.from([0, 0, 0, 7, 3]), 0],
		["the end of the connection", Buffer.alloc(0), 0],
	])("ends with %s, also while a handler runs", async (_what, bytes, code) => {
		await loaded("def handler(event, context):\n    while True: pass");
		say(TO_AGENT.invoke, EVENT);
		const ended = once(agent, "exit");
		socket.end(bytes);
		expect(await ended).toEqual([code, null]);
	});
});

describe("an answer in pieces", () => {
	const STREAMED: InvokeHead = { ...EVENT, stream: { maxBytes: MIB } };
	const invoke = (head: InvokeHead = STREAMED) => say(TO_AGENT.invoke, head, Buffer.from("3"));

	test.each([
		["a generator", "def handler(event, context):\n    for i in range(event):\n        yield {'i': i}"],
		["an async generator", "async def handler(event, context):\n    for i in range(event):\n        yield {'i': i}"],
		["an iterator that is returned", "def handler(event, context):\n    return ({'i': i} for i in range(event))"],
	])("of %s comes value by value, each a line of JSON", async (_, source) => {
		await loaded(source);
		invoke();
		expect((await heard(FROM_AGENT.streamed)).head).toEqual({ id: "inv_1", attempt: 2, contentType: "application/x-ndjson" });
		for (const i of [0, 1, 2]) expect((await heard(FROM_AGENT.chunk)).text).toBe(`{"i":${i}}\n`);
		expect(await heard(FROM_AGENT.answer)).toMatchObject({ text: "", head: { id: "inv_1", attempt: 2 } });
		invoke(EVENT);
		expect((await heard(FROM_AGENT.answer)).text).toBe('{"i":0}\n{"i":1}\n{"i":2}\n');
	});

	test("is an event each for who accepts them, and has its own status and headers where it says so", async () => {
		await loaded(
			"def handler(event, context):\n    return {'statusCode': 201, 'headers': {'x-own': 1}, 'body': iter(['two\\nlines', {'a': 1}])}",
		);
		const request = { method: "GET", url: "/", headers: [["accept", "text/event-stream"]] as [string, string][] };
		invoke({ ...STREAMED, trigger: { kind: "http", request } });
		const headers = [
			["x-own", "1"],
			["content-type", "text/event-stream"],
		];
		expect((await heard(FROM_AGENT.streamed)).head).toMatchObject({ response: { status: 201, headers } });
		expect((await heard(FROM_AGENT.chunk)).text).toBe("data: two\ndata: lines\n\n");
		expect((await heard(FROM_AGENT.chunk)).text).toBe('data: {"a":1}\n\n');
		await heard(FROM_AGENT.answer);
	});

	test("waits for credit, and what waited goes together", async () => {
		await loaded("def handler(event, context):\n    for i in range(20):\n        yield 'x' * 1000");
		invoke();
		await heard(FROM_AGENT.streamed);
		for (let i = 0; i < STREAM.chunks; i++) expect((await heard(FROM_AGENT.chunk)).text).toHaveLength(1000);
		await expect.poll(() => frames.length).toBe(0);
		say(TO_AGENT.credit, { id: "inv_1", chunks: 2 });
		let bytes = 0;
		while (bytes < 12_000) bytes += (await heard(FROM_AGENT.chunk)).text.length;
		await heard(FROM_AGENT.answer);
	});

	test("that fails in the middle, or has more bytes than it may, is a failure", async () => {
		await loaded(
			"def handler(event, context):\n    yield 'a'\n    if event == 3:\n        raise ValueError('mine')\n    yield 'b' * 2_000_000",
		);
		invoke();
		await heard(FROM_AGENT.streamed);
		await heard(FROM_AGENT.chunk);
		expect((await heard(FROM_AGENT.failed)).head).toMatchObject({ phase: "handler", error: { name: "ValueError", message: "mine" } });
		say(TO_AGENT.invoke, STREAMED, Buffer.from("4"));
		await heard(FROM_AGENT.streamed);
		await heard(FROM_AGENT.chunk);
		const tooLarge = { phase: "too_large", error: { message: expect.stringContaining("its limit") } };
		expect((await heard(FROM_AGENT.failed)).head).toMatchObject(tooLarge);
	});

	test("that nobody wants any more closes its generator", async () => {
		await loaded(
			"closed = []\ndef handler(event, context):\n    if event == 4:\n        return closed\n    return stream()\ndef stream():\n    try:\n        while True:\n            yield 'x' * 1000\n    finally:\n        closed.append('yes')",
		);
		invoke();
		await heard(FROM_AGENT.streamed);
		for (let i = 0; i < STREAM.chunks; i++) await heard(FROM_AGENT.chunk);
		say(TO_AGENT.cancel, { id: "inv_1" });
		expect((await heard(FROM_AGENT.failed)).head).toMatchObject({ phase: "handler", error: { name: "Cancelled" } });
		say(TO_AGENT.invoke, EVENT, Buffer.from("4"));
		expect((await heard(FROM_AGENT.answer)).text).toBe('["yes"]');
	});
});
