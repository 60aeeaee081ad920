import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { AGENT_BOUNDS, encodeFrame, FROM_AGENT, FrameDecoder, type InvokeHead, KIB, MIB, STREAM, TO_AGENT } from "@berth/contracts";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { Conversation, type Reply } from "./conversation.js";
import { Flow } from "./streams.js";
import { temporaryDirectory } from "./testing/directory.js";
import { verdictOn } from "./verdict.js";

/** Frames that are judged, and how many an agent says at most. */
const COUNT = process.env["TEST_LONG"] === "1" ? 1_000_000 : 100_000;
const EACH = 100;
/** What all of it may leave behind in memory. */
const LEFT_BYTES = 32 * MIB;
const QUESTIONS = { atOnce: 2 * EACH, bodyBytes: KIB, bytesAtOnce: MIB };
const MOST = MIB;

const directory = temporaryDirectory();
let made = 0;

const headOf = (id: string): InvokeHead => ({
	...{ id, attempt: 1, timeoutMs: 1000, trigger: { kind: "event" }, maxBodyBytes: KIB, maxHeaderBytes: 100 },
	stream: { maxBytes: MOST },
});

/** One end that is fuzzed, the worker's, and the socket of the other. */
async function open(): Promise<{ talk: Conversation; socket: Socket }> {
	const path = join(directory.path, `${made++}.sock`);
	const talk = await Conversation.open(path, AGENT_BOUNDS, QUESTIONS);
	const hello = talk.hear(FROM_AGENT.hello);
	const socket = connect(path);
	socket.on("error", () => undefined);
	socket.write(encodeFrame(FROM_AGENT.hello, {}));
	await hello;
	return { talk, socket };
}

const ID = "inv_1";
const question = fc.nat(1000).map((number) => encodeFrame(FROM_AGENT.question, { question: number, kind: "invoke" }, Buffer.from("{}")));
const chunk = fc.uint8Array({ minLength: 1, maxLength: 50 }).map((bytes) => encodeFrame(FROM_AGENT.chunk, { id: ID }, bytes));
const answers = fc.oneof(
	fc.constant(encodeFrame(FROM_AGENT.answer, { id: ID, attempt: 1, waiting: false })),
	fc.constant(encodeFrame(FROM_AGENT.failed, { id: ID, phase: "handler", error: { name: "E", message: "m" } })),
);
/** What an agent may say: it asks, and streams as far as it has credit, then it answers. */
const honest = fc
	.tuple(fc.array(question, { minLength: 2, maxLength: EACH - 12 }), fc.array(chunk, { maxLength: STREAM.chunks - 1 }), answers)
	.map(([questions, chunks, last]) => {
		const begin = encodeFrame(FROM_AGENT.streamed, { id: ID, attempt: 1 });
		return [...questions, ...(chunks.length > 0 ? [begin, ...chunks] : []), last];
	});

const types = fc.oneof(fc.constantFrom(...Object.values(FROM_AGENT), ...Object.values(TO_AGENT)), fc.nat(255));
const lengths = fc.constantFrom(0, 4, 5, 0x7fffffff, 0xffffffff, AGENT_BOUNDS.maxBodyBytes, AGENT_BOUNDS.maxHeadBytes + 1);
const others = fc.oneof(
	fc.record({ id: fc.constantFrom<unknown>("inv_2", "", null, 1, {}), attempt: fc.constantFrom<unknown>(0, 2, "1", null) }),
	fc.record({ question: fc.constantFrom<unknown>(-1, 1.5, "1", null, 1e308), kind: fc.constantFrom("fetch", "__proto__") }),
	fc.constant(JSON.parse('{"__proto__":{"id":"inv_1","attempt":1}}') as unknown),
	fc.jsonValue({ maxDepth: 2 }),
);
type Change = (frames: readonly Buffer[], at: number) => readonly Buffer[];
const replaced = (frames: readonly Buffer[], at: number, by: (frame: Buffer) => Buffer | undefined) =>
	frames.map((one, place) => {
		if (place !== at) return one;
		const copy = Buffer.from(one);
		return by(copy) ?? copy;
	});
/** What is done to a conversation: lengths, types, ids, JSON, order, and where it breaks off. */
const changes: fc.Arbitrary<Change> = fc.oneof(
	lengths.map(
		(length): Change =>
			(frames, at) =>
				replaced(frames, at, (frame) => void frame.writeUInt32BE(length, 0)),
	),
	lengths.map(
		(length): Change =>
			(frames, at) =>
				replaced(frames, at, (frame) => void frame.writeUInt32BE(length, 5)),
	),
	types.map(
		(type): Change =>
			(frames, at) =>
				replaced(frames, at, (frame) => void frame.writeUInt8(type, 4)),
	),
	fc.tuple(types, others).map(
		([type, head]): Change =>
			(frames, at) =>
				replaced(frames, at, () => encodeFrame(type, head ?? null)),
	),
	fc.tuple(fc.nat(), fc.nat(255)).map(
		([where, byte]): Change =>
			(frames, at) =>
				replaced(frames, at, (frame) => void frame.writeUInt8(byte, where % frame.length)),
	),
	fc.nat().map(
		(where): Change =>
			(frames, at) =>
				replaced(frames, at, (frame) => frame.subarray(0, where % frame.length)),
	),
	fc.constant<Change>((frames, at) => frames.toSpliced(at, 1)),
	fc.constant<Change>((frames, at) => frames.toSpliced(at, 0, frames[at] as Buffer)),
	fc.constant<Change>((frames) => frames.toReversed()),
	fc.uint8Array({ minLength: 1, maxLength: 100 }).map(
		(bytes): Change =>
			(frames, at) =>
				frames.toSpliced(at, 0, Buffer.from(bytes)),
	),
);
const conversations = fc.record({
	frames: honest,
	change: fc.option(fc.tuple(changes, fc.nat()), { freq: 4 }),
	ends: fc.constantFrom("not", "half", "whole"),
	cuts: fc.array(fc.nat(), { maxLength: 4 }),
});

/** A neighbour: it is asked and answers meanwhile, always right. */
async function neighbour(): Promise<() => Promise<void>> {
	const { talk, socket } = await open();
	const decoder = new FrameDecoder(AGENT_BOUNDS);
	socket.on("data", (bytes: Buffer) => {
		for (const { head, body } of decoder.push(bytes)) socket.write(encodeFrame(FROM_AGENT.answer, head, body));
	});
	let asked = 0;
	return async () => {
		const id = `inv_n${asked++}`;
		const reply = await talk.ask(TO_AGENT.invoke, FROM_AGENT.answer, { id, attempt: 1 }, Buffer.from(id));
		expect(reply).toMatchObject({ frame: { head: { id }, body: Buffer.from(id) } });
	};
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
function heldBytes(): number {
	collect();
	const { heapUsed, external } = process.memoryUsage();
	return heapUsed + external;
}

const rejections: unknown[] = [];
const noted = (error: unknown) => void rejections.push(error);
process.on("unhandledRejection", noted);
afterAll(() => void process.off("unhandledRejection", noted));

type Scripted = typeof conversations extends fc.Arbitrary<infer Made> ? Made : never;

/** @returns how many frames it was */
async function converse({ frames, change, ends, cuts }: Scripted): Promise<number> {
	const { talk, socket } = await open();
	socket.resume();
	let streamedBytes = 0;
	const sink = {
		begin: () => undefined,
		write: (bytes: Uint8Array, taken: () => void) => {
			streamedBytes += bytes.length;
			taken();
		},
	};
	const head = headOf(ID);
	const flow = new Flow(head, { answer: sink }, (...frame) => talk.tell(...frame));
	const answered = talk.ask(TO_AGENT.invoke, FROM_AGENT.answer, head, undefined, async () => ({ head: {} }), flow);
	const said = change === null ? frames : change[0](frames, change[1] % frames.length);
	const bytes = Buffer.concat(said);
	const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
	for (let at = 1; at < places.length; at++) socket.write(bytes.subarray(places[at - 1], places[at]));
	if (ends === "half") socket.end();
	else if (ends === "whole") socket.destroySoon();
	const reply = await firstOf(answered, talk, socket);
	flow.close();
	judge(reply, change === null, head, flow.streamed !== undefined);
	expect(streamedBytes).toBeLessThanOrEqual(MOST);
	talk.end({});
	socket.destroy();
	return said.length;
}

/** Its answer or its end; what waits for more bytes than there are is ended, as a timeout would. */
async function firstOf(answered: Promise<Reply>, talk: Conversation, socket: Socket): Promise<Reply> {
	let reply: Reply | undefined;
	void answered.then((one) => {
		reply = one;
	});
	for (let turns = 0; reply === undefined && (turns < 20 || socket.writableLength > 0); turns++) await turn();
	talk.end({});
	return await answered;
}

/** Only its own answer is one; a conversation that nobody changed comes out as it was. */
function judge(reply: Reply, isHonest: boolean, head: InvokeHead, streamed: boolean): void {
	if ("ended" in reply) {
		expect(isHonest).toBe(false);
		return;
	}
	const { outcome } = verdictOn(reply.frame, head, streamed);
	if (outcome === "succeeded") expect(reply.frame.head).toMatchObject({ id: head.id, attempt: head.attempt });
	if (isHonest) expect(["succeeded", "handler_error"]).toContain(outcome);
}

test(
	`${COUNT} frames of conversations that go wrong settle nothing but what they are about, and leave nothing`,
	async () => {
		const ask = await neighbour();
		const beforeBytes = heldBytes();
		let frames = 0;
		while (frames < COUNT) {
			const found = await fc.check(
				fc.asyncProperty(fc.array(conversations, { minLength: 10, maxLength: 10 }), async (several) => {
					const counts = await Promise.all([...several.map(converse), ask().then(() => 0)]);
					frames += counts.reduce((sum, count) => sum + count);
				}),
				{ numRuns: 20, endOnFailure: true },
			);
			if (found.failed) throw new Error(`TEST_SEED=${found.seed}, after ${found.numRuns} runs`, { cause: found.errorInstance });
		}
		expect(rejections).toEqual([]);
		expect(heldBytes() - beforeBytes).toBeLessThan(LEFT_BYTES);
	},
	COUNT,
);
