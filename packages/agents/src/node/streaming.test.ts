import { FROM_AGENT, type InvokeHead, STREAM } from "@berth/contracts/agent";
import { describe, expect, test } from "vitest";
import { Inflow } from "./inflow.js";
import { Outflow } from "./outflow.js";
import { replyOf, responseReply } from "./payload.js";
import { collected, type Source, TooLargeError } from "./pieces.js";

const MOST = 20 * STREAM.chunkBytes;
const HEAD: InvokeHead = {
	id: "inv_1",
	attempt: 1,
	timeoutMs: 1000,
	trigger: { kind: "event" },
	maxBodyBytes: 100,
	maxHeaderBytes: 100,
	stream: { maxBytes: MOST },
};

/** What an agent says to its worker. */
class Said {
	readonly frames: { readonly type: number; readonly head: object; readonly body: string }[] = [];
	send = (type: number, head: object, body: Uint8Array = new Uint8Array(0)) => {
		this.frames.push({ type, head, body: Buffer.from(body).toString() });
	};
	bodies = (type: number = FROM_AGENT.chunk) => this.frames.filter((frame) => frame.type === type).map(({ body }) => body);
}

const later = () => new Promise((resolve) => setTimeout(resolve, 1));
const textOf = ({ body }: { readonly body: Uint8Array }) => Buffer.from(body).toString();
async function* waiting(): AsyncGenerator<unknown> {
	yield { a: 1 };
	await later();
	yield { a: 2 };
}

describe("what a handler answers", () => {
	test.each([
		["text", () => new Response("abc")],
		["nothing", () => new Response(null)],
		["a stream that is over at once", () => new Response(ReadableStream.from([Buffer.from("a"), Buffer.from("bc")]))],
	])("as a Response of %s is whole", async (_, response) => {
		const reply = await responseReply(response());
		expect(reply.rest).toBeUndefined();
		expect("abc").toContain(textOf(reply));
	});

	test("as a Response whose stream waits is begun with what is there", async () => {
		const stream = new ReadableStream({
			async pull(controller) {
				await later();
				controller.enqueue(Buffer.from("b"));
				controller.close();
			},
		});
		const reply = await responseReply(new Response(stream, { status: 201 }));
		expect([textOf(reply), reply.response?.status]).toEqual(["", 201]);
		expect(Buffer.from(await collected(reply, 10)).toString()).toBe("b");
	});

	test("without an end is begun, too, although it never waits", async () => {
		const stream = new ReadableStream({ pull: (controller) => controller.enqueue(Buffer.alloc(1000)) });
		const reply = await responseReply(new Response(stream));
		expect(reply.rest).toBeDefined();
		await expect(collected(reply, 1_000_000)).rejects.toThrow(TooLargeError);
	});

	test("by yielding values is a piece each: JSON by lines, text and bytes as they are", async () => {
		const reply = await replyOf(waiting());
		expect(reply.contentType).toBe("application/x-ndjson");
		expect(Buffer.from(await collected(reply, 100)).toString()).toBe('{"a":1}\n{"a":2}\n');
		expect(await replyOf(["a", "b"].values())).toMatchObject({ contentType: "text/plain; charset=utf-8", body: Buffer.from("ab") });
		expect(await replyOf([Uint8Array.of(1)].values())).toMatchObject({ contentType: "application/octet-stream" });
	});

	test("by yielding values for a reader of events is an event each", async () => {
		const reply = await replyOf(["two\nlines", { a: 1 }].values(), false, true);
		expect([reply.contentType, textOf(reply)]).toEqual(["text/event-stream", 'data: two\ndata: lines\n\ndata: {"a":1}\n\n']);
	});

	test("as a plain value is what it was", async () => {
		expect(textOf(await replyOf([1]))).toBe("[1]");
		expect((await replyOf(new Map())).contentType).toBe("application/json");
	});

	test("as a stream of anything but bytes fails with what to do", async () => {
		const reply = responseReply(new Response(ReadableStream.from(["text"]) as ReadableStream));
		await expect(reply).rejects.toThrow("it gives bytes, as from new TextEncoder()");
	});
});

describe("an answer in pieces", () => {
	const sourceOf = (pieces: readonly (string | Error)[]): Source & { cancelled?: unknown } => {
		const left = [...pieces];
		const source: Source & { cancelled?: unknown } = {
			next: async () => {
				const piece = left.shift();
				if (piece instanceof Error) throw piece;
				return piece === undefined ? undefined : Buffer.from(piece);
			},
			cancel: async (reason) => {
				source.cancelled = reason;
			},
		};
		return source;
	};
	const whole = "0123456789abcdef".repeat((STREAM.chunkBytes * (STREAM.chunks + 2)) / 16);

	test("that is there without waiting goes together", async () => {
		const said = new Said();
		await new Outflow(said, HEAD).send({ body: Buffer.from("a"), rest: sourceOf(["b", "", "c"]) });
		expect(said.frames.map(({ type }) => type)).toEqual([FROM_AGENT.streamed, FROM_AGENT.chunk]);
		expect(said.bodies()).toEqual(["abc"]);
	});

	test("waits for credit, and comes whole", async () => {
		const said = new Said();
		const outflow = new Outflow(said, HEAD);
		const sent = outflow.send({ body: new Uint8Array(0), rest: sourceOf([whole]) });
		await expect.poll(() => said.bodies().length).toBe(STREAM.chunks);
		outflow.credit({ id: "inv_1", chunks: 1 });
		await expect.poll(() => said.bodies().length).toBe(STREAM.chunks + 1);
		outflow.credit({ id: "inv_1", chunks: 5 });
		await sent;
		expect(said.bodies().join("")).toBe(whole);
	});

	test("that nobody wants any more ends its source, also while it waits", async () => {
		const source = sourceOf([whole]);
		const outflow = new Outflow(new Said(), HEAD);
		const sent = outflow.send({ body: new Uint8Array(0), rest: source });
		await later();
		outflow.cancel(new Error("gone"));
		await expect(sent).rejects.toThrow("gone");
		expect(source.cancelled).toMatchObject({ message: "gone" });
	});

	test("beyond its limit ends its source, too", async () => {
		const source = sourceOf(["x".repeat(MOST), "y"]);
		const outflow = new Outflow(new Said(), HEAD);
		const sent = outflow.send({ body: new Uint8Array(0), rest: source });
		outflow.credit({ id: "inv_1", chunks: 100 });
		await expect(sent).rejects.toThrow(TooLargeError);
		expect(source.cancelled).toBeInstanceOf(TooLargeError);
	});

	test("fails with what makes it, behind what that gave", async () => {
		const said = new Said();
		await expect(new Outflow(said, HEAD).send({ body: Buffer.from("a"), rest: sourceOf(["b", new Error("mine")]) })).rejects.toThrow(
			"mine",
		);
		expect(said.bodies()).toEqual(["ab"]);
	});

	test("fails with what makes it once all of what that gave was taken", async () => {
		const said = new Said();
		const outflow = new Outflow(said, HEAD);
		const sent = outflow.send({ body: Buffer.from(whole), rest: sourceOf(["last", new Error("mine")]) });
		sent.catch(() => undefined);
		await expect.poll(() => said.bodies().length).toBe(STREAM.chunks);
		outflow.credit({ id: "inv_1", chunks: 3 });
		await expect(sent).rejects.toThrow("mine");
		expect(said.bodies().join("")).toBe(`${whole}last`);
	});

	test("that fails while nobody wants it any more ends with why", async () => {
		const outflow = new Outflow(new Said(), HEAD);
		const sent = outflow.send({
			body: Buffer.from(whole.slice(0, STREAM.chunkBytes * STREAM.chunks)),
			rest: sourceOf(["b", new Error("mine")]),
		});
		await later();
		outflow.cancel(new Error("gone"));
		await expect(sent).rejects.toThrow("gone");
	});
});

describe("a request's body in pieces", () => {
	test("is read as it comes; what was read is said", async () => {
		const said = new Said();
		const inflow = new Inflow(said, "inv_1");
		const read = new Response(inflow.stream()).text();
		inflow.take({ id: "inv_1" }, Buffer.from("a"));
		inflow.take({ id: "another" }, Buffer.from("x"));
		await expect.poll(() => said.frames).toEqual([{ type: FROM_AGENT.taken, head: { id: "inv_1", chunks: 1 }, body: "" }]);
		inflow.take({ id: "inv_1" }, Buffer.from("b"));
		inflow.take({ id: "inv_1", end: "whole" }, Buffer.alloc(0));
		expect(await read).toBe("ab");
	});

	test("that breaks off fails whoever reads it", async () => {
		const inflow = new Inflow(new Said(), "inv_1");
		const read = new Response(inflow.stream()).text();
		inflow.take({ id: "inv_1", end: "broken" }, Buffer.alloc(0));
		await expect(read).rejects.toThrow("the request's body broke off");
	});

	test("that isn't wanted any more is asked for no more", async () => {
		const said = new Said();
		const inflow = new Inflow(said, "inv_1");
		inflow.close();
		inflow.take({ id: "inv_1" }, Buffer.from("a"));
		await inflow.next();
		expect(said.frames).toEqual([]);
	});
});
