import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { AGENT_BOUNDS, encodeFrame, FROM_AGENT, type Frame, FrameDecoder, TO_AGENT } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Conversation, type Reply, type Respond } from "./conversation.js";
import { temporaryDirectory } from "./testing/directory.js";

/** What a sandbox may ask at once. */
const QUESTIONS = { atOnce: 3, bodyBytes: 1000, bytesAtOnce: 1500 };

const directory = temporaryDirectory();
let path: string;
let talk: Conversation;
const sockets: Socket[] = [];
beforeEach(async () => {
	path = join(directory.path, "agent.sock");
	talk = await Conversation.open(path, AGENT_BOUNDS, QUESTIONS);
});
afterEach(() => {
	talk.end({});
	for (const socket of sockets.splice(0)) socket.destroy();
});

async function dial(): Promise<Socket> {
	const socket = connect(path);
	socket.on("error", () => undefined);
	sockets.push(socket);
	await once(socket, "connect");
	return socket;
}

/** An agent that has said hello. */
async function agent(): Promise<Socket> {
	const hello = talk.hear(FROM_AGENT.hello);
	const socket = await dial();
	socket.write(encodeFrame(FROM_AGENT.hello, {}));
	await hello;
	return socket;
}

function frameOf(reply: Reply): Frame {
	if ("ended" in reply) throw new Error(`it ended: ${reply.ended.violation?.message}`);
	return reply.frame;
}

const answer = (head: object = {}, body?: Uint8Array) => encodeFrame(FROM_AGENT.answer, { id: "inv_1", attempt: 1, ...head }, body);
const settled = (id: unknown = "inv_1") => encodeFrame(FROM_AGENT.settled, id === undefined ? {} : { id });
const ask = () => talk.ask(TO_AGENT.invoke, FROM_AGENT.answer, { id: "inv_1" });
const violation = async () => (await talk.ending).violation?.message;

describe("an agent", () => {
	test("is asked and answers, bodies byte for byte", async () => {
		const socket = await agent();
		const question = once(socket, "data") as Promise<[Buffer]>;
		const reply = talk.ask(TO_AGENT.invoke, FROM_AGENT.answer, { id: "inv_1" }, Uint8Array.of(0, 255));
		const [asked] = new FrameDecoder(AGENT_BOUNDS).push((await question)[0]);
		expect(asked).toMatchObject({ type: TO_AGENT.invoke, head: { id: "inv_1" }, body: Buffer.of(0, 255) });
		socket.write(answer({}, Uint8Array.of(1, 0)));
		expect(frameOf(await reply)).toMatchObject({ type: FROM_AGENT.answer, body: Buffer.of(1, 0) });
		expect(talk.ended).toBeUndefined();
	});

	test("may fail instead of answering", async () => {
		const socket = await agent();
		const reply = ask();
		socket.write(encodeFrame(FROM_AGENT.failed, { phase: "handler", id: "inv_1" }));
		expect(frameOf(await reply).type).toBe(FROM_AGENT.failed);
		expect(talk.ended).toBeUndefined();
	});

	test("may be anybody in the sandbox, and is the only one that ever gets in", async () => {
		expect(statSync(path).mode & 0o777).toBe(0o666);
		await agent();
		expect(existsSync(path)).toBe(false);
		await expect(dial()).rejects.toThrow("ENOENT");
	});

	test("that connects beside another one is turned away", async () => {
		const [first, second] = [connect(path), connect(path)];
		for (const socket of [first, second]) socket.on("error", () => undefined);
		sockets.push(first, second);
		const hello = talk.hear(FROM_AGENT.hello);
		first.write(encodeFrame(FROM_AGENT.hello, { first: true }));
		await new Promise((resolve) => second.once("close", resolve));
		expect(frameOf(await hello).head).toEqual({ first: true });
		expect(talk.ended).toBeUndefined();
	});
});

describe("an agent's own questions", () => {
	const question = (number: unknown, body?: Uint8Array) => encodeFrame(FROM_AGENT.question, { kind: "fetch", question: number }, body);
	const asking = (respond: Respond) => talk.ask(TO_AGENT.invoke, FROM_AGENT.answer, {}, undefined, respond);

	test("are answered by number while it is being asked, where somebody answers", async () => {
		const socket = await agent();
		const heard: Frame[] = [];
		const decoder = new FrameDecoder(AGENT_BOUNDS);
		const both = new Promise<void>((resolve) =>
			socket.on("data", (chunk: Buffer) => {
				heard.push(...decoder.push(chunk).filter(({ type }) => type === TO_AGENT.reply));
				if (heard.length === 2) resolve();
			}),
		);
		const reply = asking(async (head) => ({ head: { seen: head }, body: Buffer.from("bytes") }));
		socket.write(Buffer.concat([question(1), question(2)]));
		await both;
		expect(heard.map(({ head }) => (head as { question: number }).question)).toEqual([1, 2]);
		expect(Buffer.from(heard[0]?.body ?? []).toString()).toBe("bytes");
		socket.write(answer());
		expect(frameOf(await reply).type).toBe(FROM_AGENT.answer);
	});

	test("end it where nobody answers them", async () => {
		const socket = await agent();
		const reply = ask();
		socket.write(question(1));
		expect(await reply).toMatchObject({ ended: { violation: { message: expect.stringContaining("where 20 was due") } } });
	});

	test("are asked one after the other as often as it likes, and answered to nobody when what they were asked for is over", async () => {
		const socket = await agent();
		const heard: Frame[] = [];
		const decoder = new FrameDecoder(AGENT_BOUNDS);
		const next = async (type: number) => {
			while (!heard.some((frame) => frame.type === type)) await once(socket, "data");
			return heard.splice(
				heard.findIndex((frame) => frame.type === type),
				1,
			)[0] as Frame;
		};
		socket.on("data", (chunk: Buffer) => void heard.push(...decoder.push(chunk)));
		const late = Promise.withResolvers<void>();
		const done: number[] = [];
		const first = asking(async (_head, _body, number) => {
			if (number === 99) await late.promise;
			return { head: {}, done: () => void done.push(number) };
		});
		for (let n = 1; n <= 2 * QUESTIONS.atOnce; n++) {
			socket.write(question(n, Buffer.alloc(QUESTIONS.bodyBytes)));
			expect((await next(TO_AGENT.reply)).head).toEqual({ question: n });
		}
		socket.write(Buffer.concat([question(99), answer()]));
		await first;
		const second = asking(async () => ({ head: { second: true } }));
		late.resolve();
		socket.write(question(100));
		expect((await next(TO_AGENT.reply)).head).toEqual({ second: true, question: 100 });
		socket.write(answer());
		await second;
		expect([talk.ended, done]).toEqual([undefined, [1, 2, 3, 4, 5, 6, 99]]);
	});

	test.each([
		["without a number", () => [question("1")]],
		["with more bytes than they may have", () => [question(1, Buffer.alloc(QUESTIONS.bodyBytes + 1))]],
		["with more bytes than all that are open may have", () => [question(1, Buffer.alloc(1000)), question(2, Buffer.alloc(501))]],
		["when too many are open", () => Array.from({ length: QUESTIONS.atOnce + 1 }, (_, i) => question(i))],
	])("end it %s", async (_, questions) => {
		const socket = await agent();
		const reply = asking(() => new Promise(() => undefined));
		for (const bytes of questions()) socket.write(bytes);
		expect(await reply).toMatchObject({ ended: { violation: { message: expect.stringContaining("too much") } } });
	});
});

describe("a sandbox is ended by", () => {
	test("a frame that nobody asked for", async () => {
		(await agent()).write(answer());
		expect(await violation()).toBe(`a frame of type ${FROM_AGENT.answer} that nobody asked for`);
	});

	test("a second answer", async () => {
		const socket = await agent();
		const reply = ask();
		socket.write(Buffer.concat([answer(), answer()]));
		expect(frameOf(await reply).type).toBe(FROM_AGENT.answer);
		expect(await violation()).toContain("nobody asked for");
	});

	test("a frame of another type than the one that is due", async () => {
		const socket = await agent();
		const reply = ask();
		socket.write(encodeFrame(FROM_AGENT.specialised, {}));
		expect(await reply).toMatchObject({ ended: { violation: { message: expect.stringContaining("where 20 was due") } } });
	});

	test("a header of 4 GiB, before anything is allocated for it", async () => {
		const socket = await agent();
		const reply = ask();
		const before = process.memoryUsage().rss;
		socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff, FROM_AGENT.answer, 0, 0, 0, 2]));
		expect(await reply).toMatchObject({ ended: { violation: { message: expect.stringContaining("4294967295 bytes is outside") } } });
		expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
	});

	test("bytes that are no frame", async () => {
		const socket = await agent();
		socket.write(Buffer.from([0, 0, 0, 6, FROM_AGENT.answer, 0, 0, 0, 1, 0x7b]));
		expect(await violation()).toBe("a frame's head isn't JSON");
	});

	test("half a frame and the end of the connection: no violation, and nobody waits on", async () => {
		const socket = await agent();
		const reply = ask();
		socket.end(answer().subarray(0, 12));
		expect(await reply).toEqual({ ended: {} });
		expect(await talk.ending).toEqual({});
	});

	test("a connection that is reset, like one that is closed", async () => {
		const socket = await agent();
		const reply = ask();
		socket.destroy();
		expect(await reply).toEqual({ ended: {} });
	});
});

describe("what goes on after its answer", () => {
	const waiting = async () => {
		const socket = await agent();
		const reply = ask();
		socket.write(answer({ waiting: true }));
		await reply;
		return socket;
	};

	test("is settled when the agent says so", async () => {
		const socket = await waiting();
		const over = talk.settled("inv_1");
		socket.write(settled());
		await over;
		expect(talk.ended).toBeUndefined();
	});

	test("may be settled in the same breath, before anybody asks", async () => {
		const socket = await agent();
		const reply = ask();
		socket.write(Buffer.concat([answer({ waiting: true }), settled()]));
		await reply;
		await new Promise((resolve) => setImmediate(resolve));
		await talk.settled("inv_1");
		expect(talk.ended).toBeUndefined();
	});

	test("may be settled after a failure, too", async () => {
		const socket = await agent();
		const reply = ask();
		socket.write(Buffer.concat([encodeFrame(FROM_AGENT.failed, { phase: "handler", id: "inv_1", waiting: true }), settled()]));
		await reply;
		await talk.settled("inv_1");
		expect(talk.ended).toBeUndefined();
	});

	test.each([
		["another invocation's", "inv_2"],
		["nobody's", undefined],
		["no text", 7],
	])("isn't settled by %s id: that ends the sandbox", async (_what, id) => {
		const socket = await waiting();
		const over = talk.settled("inv_1");
		socket.write(encodeFrame(FROM_AGENT.settled, id === undefined ? {} : { id }));
		expect(await violation()).toContain("nobody asked for");
		await over;
	});

	test("is settled once", async () => {
		const socket = await waiting();
		socket.write(Buffer.concat([settled(), settled()]));
		expect(await violation()).toContain("nobody asked for");
	});

	test("isn't settled when nothing was announced", async () => {
		const socket = await agent();
		socket.write(encodeFrame(FROM_AGENT.settled, {}));
		expect(await violation()).toContain("nobody asked for");
	});

	test("is over with the sandbox", async () => {
		await waiting();
		const over = talk.settled("inv_1");
		talk.end({ code: 137 });
		await over;
	});
});

describe("the end", () => {
	test("counts once: the first reason stands", async () => {
		talk.end({ code: 1 });
		talk.end({ code: 2, violation: new Error("late") });
		expect(await talk.ending).toEqual({ code: 1 });
		expect(talk.ended).toEqual({ code: 1 });
	});

	test("answers whoever asks, before it and after it, and takes the socket away", async () => {
		const asked = talk.hear(FROM_AGENT.hello);
		talk.end({ code: 3 });
		expect(await asked).toEqual({ ended: { code: 3 } });
		expect(await ask()).toEqual({ ended: { code: 3 } });
		expect(existsSync(path)).toBe(false);
	});
});
