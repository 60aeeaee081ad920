import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import {
	AGENT_BOUNDS,
	BUILD_QUESTIONS,
	encodeFrame,
	FROM_AGENT,
	type Frame,
	FrameDecoder,
	type InvokeHead,
	MIB,
	STREAM,
	TO_AGENT,
} from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AnswerInlet, type AnswerSink } from "./answer-inlet.js";
import { Conversation, type Reply } from "./conversation.js";
import { Flow, type Streams } from "./streams.js";
import { temporaryDirectory } from "./testing/directory.js";

const MOST = 3 * STREAM.chunkBytes;
/** Turns in which an agent may say that it took something: enough for far more than a socket holds. */
const ROUNDS = 2000;
const HEAD: InvokeHead = {
	id: "inv_1",
	attempt: 1,
	timeoutMs: 1000,
	trigger: { kind: "event" },
	maxBodyBytes: 100,
	maxHeaderBytes: 100,
	stream: { maxBytes: MOST },
};

/** Takes what comes, and says so unless it is told to hold it. */
class Sink implements AnswerSink {
	readonly heads: unknown[] = [];
	readonly pieces: string[] = [];
	held: (() => void)[] | undefined;

	begin(head: unknown): void {
		this.heads.push(head);
	}

	write(chunk: Uint8Array, taken: () => void): void {
		this.pieces.push(Buffer.from(chunk).toString());
		if (this.held === undefined) taken();
		else this.held.push(taken);
	}
}

const directory = temporaryDirectory();
let talk: Conversation;
let socket: Socket;
let sink: Sink;
let said: Frame[];
beforeEach(async () => {
	const path = join(directory.path, "agent.sock");
	talk = await Conversation.open(path, AGENT_BOUNDS, BUILD_QUESTIONS);
	socket = connect(path);
	socket.on("error", () => undefined);
	sink = new Sink();
	said = [];
	const decoder = new FrameDecoder(AGENT_BOUNDS);
	socket.on("data", (chunk: Buffer) => {
		said.push(...decoder.push(chunk));
		socket.emit("said");
	});
	const hello = talk.hear(FROM_AGENT.hello);
	socket.write(encodeFrame(FROM_AGENT.hello, {}));
	await hello;
});
afterEach(() => {
	talk.end({});
	socket.destroy();
});

/** Asks with these streams; the flow is closed as `Sandbox` does. */
function ask(streams: Streams = { answer: sink }): Promise<Reply> {
	const flow = new Flow(HEAD, streams, (...frame) => talk.tell(...frame));
	const reply = talk.ask(TO_AGENT.invoke, FROM_AGENT.answer, HEAD, undefined, undefined, flow);
	flow.begin(streams.body);
	return reply.finally(() => flow.close());
}
const streamed = (head: object = {}, body?: Uint8Array) => encodeFrame(FROM_AGENT.streamed, { id: "inv_1", attempt: 1, ...head }, body);
const chunk = (text: string | Uint8Array = "x", id = "inv_1") => encodeFrame(FROM_AGENT.chunk, { id }, Buffer.from(text));
const taken = (chunks: unknown, id = "inv_1") => encodeFrame(FROM_AGENT.taken, { id, chunks });
const answer = () => encodeFrame(FROM_AGENT.answer, { id: "inv_1", attempt: 1 });
const credits = () => said.filter(({ type }) => type === TO_AGENT.credit).map(({ head }) => head);
async function saidSoMany(type: number, count: number): Promise<Frame[]> {
	const ofType = () => said.filter((frame) => frame.type === type);
	while (ofType().length < count) await once(socket, "said");
	return ofType();
}

describe("an answer in pieces", () => {
	test("is passed on as it comes, and over with the answer", async () => {
		const reply = ask();
		socket.write(Buffer.concat([streamed({ contentType: "text/plain" }, Buffer.from("a")), chunk("b"), chunk("c"), answer()]));
		expect(await reply).toMatchObject({ frame: { type: FROM_AGENT.answer } });
		expect(sink.heads).toEqual([{ id: "inv_1", attempt: 1, contentType: "text/plain" }]);
		expect(sink.pieces).toEqual(["a", "b", "c"]);
		expect(talk.ended).toBeUndefined();
	});

	test("may fail in the middle", async () => {
		const reply = ask();
		socket.write(Buffer.concat([streamed(), chunk(), encodeFrame(FROM_AGENT.failed, { phase: "handler", id: "inv_1" })]));
		expect(await reply).toMatchObject({ frame: { type: FROM_AGENT.failed } });
		expect(talk.ended).toBeUndefined();
	});

	test("has credit back for what was taken, and for nothing else: small pieces' together", async () => {
		sink.held = [];
		const reply = ask();
		socket.write(Buffer.concat([streamed(), chunk(), chunk(), chunk()]));
		await expect.poll(() => sink.held?.length).toBe(3);
		expect(credits()).toEqual([]);
		for (const take of sink.held.splice(0, 2)) take();
		await saidSoMany(TO_AGENT.credit, 1);
		expect(credits()).toEqual([{ id: "inv_1", chunks: 2 }]);
		socket.write(answer());
		await reply;
	});

	test.each([
		["without a beginning", () => [chunk()]],
		["that begins twice", () => [streamed(), streamed()]],
		["of another invocation", () => [streamed({ id: "inv_2" })]],
		["of another attempt", () => [streamed({ attempt: 2 })]],
		["that isn't one", () => [streamed({ response: { status: "200" } })]],
		["with larger headers than it may have", () => [streamed({ contentType: "x".repeat(101) })]],
		["with a piece of another one", () => [streamed(), chunk("x", "inv_2")]],
		["with an empty piece", () => [streamed(), chunk("")]],
		["with a piece that is too large", () => [streamed(), chunk(Buffer.alloc(STREAM.chunkBytes + 1))]],
		["with more bytes than it may have", () => [streamed(), ...Array.from({ length: 4 }, () => chunk(Buffer.alloc(STREAM.chunkBytes)))]],
		["with a piece after its end", () => [streamed(), answer(), chunk()]],
		["that ends twice", () => [streamed(), answer(), answer()]],
		["that says what it took of a body that it wasn't sent", () => [taken(1)]],
	])("%s ends the sandbox", async (_, frames) => {
		void ask();
		socket.write(Buffer.concat(frames()));
		expect((await talk.ending).violation).toBeInstanceOf(Error);
	});

	test("that is sent beyond its credit ends the sandbox, however small its pieces", async () => {
		sink.held = [];
		void ask();
		socket.write(Buffer.concat([streamed(), ...Array.from({ length: STREAM.chunks + 1 }, () => chunk())]));
		expect((await talk.ending).violation?.message).toContain("more of an answer than was asked for");
		expect(sink.pieces).toHaveLength(STREAM.chunks);
	});

	test("ends the sandbox where a whole one was asked for", async () => {
		void ask({});
		socket.write(streamed());
		expect((await talk.ending).violation?.message).toContain(`type ${FROM_AGENT.streamed}`);
	});
});

test("an agent that streams and doesn't read has no more credit granted, once its socket has no room for the word", () => {
	const grants: [chunks: number, onTaken: () => void][] = [];
	const inlet = new AnswerInlet(HEAD, sink, (chunks, onTaken) => void grants.push([chunks, onTaken]));
	const head = { id: "inv_1", attempt: 1 };
	// As large as those that are given back at once.
	const piece = Buffer.alloc(STREAM.chunkBytes / 2);
	const take = () => inlet.take({ type: FROM_AGENT.chunk, head: { id: "inv_1" }, body: piece });
	expect([inlet.take({ type: FROM_AGENT.streamed, head, body: new Uint8Array(0) }), take(), take(), take()]).toEqual(
		Array(4).fill(undefined),
	);
	expect(grants.map(([chunks]) => chunks)).toEqual([1]);
	grants[0]?.[1]();
	expect(grants.map(([chunks]) => chunks)).toEqual([1, 2]);
	grants[1]?.[1]();
	expect(grants).toHaveLength(2);
	inlet.close();
});

describe("a request's body in pieces", () => {
	async function* body(pieces: readonly Uint8Array[], error?: Error): AsyncGenerator<Uint8Array> {
		yield* pieces;
		if (error !== undefined) throw error;
	}
	const bytesSaid = () => Buffer.concat(said.filter(({ type }) => type === TO_AGENT.body).map((frame) => frame.body));

	test("goes no further than the agent takes it, and comes whole", async () => {
		const whole = Buffer.alloc(STREAM.chunkBytes * (STREAM.chunks + 2), "0123456789");
		const reply = ask({ body: body([whole]) });
		await saidSoMany(TO_AGENT.body, STREAM.chunks);
		await new Promise((resolve) => setImmediate(resolve));
		expect(bytesSaid()).toHaveLength(STREAM.chunkBytes * STREAM.chunks);
		socket.write(taken(2));
		const frames = await saidSoMany(TO_AGENT.body, STREAM.chunks + 3);
		expect(frames.at(-1)?.head).toEqual({ id: "inv_1", end: "whole" });
		expect(bytesSaid().equals(whole)).toBe(true);
		socket.write(answer());
		await reply;
	});

	test("isn't held for an agent that says that it took it and reads nothing of it", async () => {
		let pulled = 0;
		async function* endless(): AsyncGenerator<Uint8Array> {
			for (;;) {
				pulled++;
				yield Buffer.alloc(STREAM.chunkBytes);
			}
		}
		const reply = ask({ body: endless() });
		await saidSoMany(TO_AGENT.body, 1);
		socket.pause();
		// Of what is pulled all but the last has been sent.
		for (let claimed = 0, round = 0; round < ROUNDS; round++) {
			if (pulled - 1 > claimed) socket.write(taken(pulled - 1 - claimed));
			claimed = Math.max(claimed, pulled - 1);
			await new Promise((resolve) => setImmediate(resolve));
		}
		expect(pulled * STREAM.chunkBytes).toBeLessThan(8 * MIB);
		expect(talk.ended).toBeUndefined();
		socket.write(answer());
		await reply;
	});

	test("that breaks off says so", async () => {
		void ask({ body: body([Buffer.from("a")], new Error("gone")) });
		expect((await saidSoMany(TO_AGENT.body, 2)).at(-1)?.head).toEqual({ id: "inv_1", end: "broken" });
	});

	test.each([
		["more than it was sent", () => taken(2)],
		["nothing", () => taken(0)],
		["no number", () => taken("1")],
		["another one", () => taken(1, "inv_2")],
	])("of which an agent says that it took %s ends the sandbox", async (_, frame) => {
		void ask({ body: body([Buffer.from("a")]) });
		await saidSoMany(TO_AGENT.body, 1);
		socket.write(frame());
		expect((await talk.ending).violation).toBeInstanceOf(Error);
	});
});
