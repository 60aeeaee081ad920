import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { CutError } from "@berth/client";
import { describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, header } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

/** Gives as many pieces as it is asked for, then ends as it is told; each piece after the first waits for the one before to be read by somebody. */
const STREAMS = `const bytes = (text: string) => new TextEncoder().encode(text);
export default {
	async fetch(request: Request): Promise<Response> {
		const query = new URL(request.url).searchParams;
		const pieces = Number(query.get("pieces") ?? 3);
		let given = 0;
		const stream = new ReadableStream({
			async pull(controller) {
				if (given > 0) await new Promise((resolve) => setTimeout(resolve, Number(query.get("ms") ?? 5)));
				if (given === pieces) {
					if (query.has("throws")) throw new RangeError("in the middle");
					if (query.has("exits")) process.exit(1);
					return controller.close();
				}
				controller.enqueue(query.has("large") ? new Uint8Array(65536) : bytes("data: " + given + "\\n\\n"));
				given++;
			},
			cancel: () => console.log("cancelled after " + given),
		});
		return new Response(stream, { status: 201, headers: { "content-type": "text/event-stream", "x-own": "1", ...(query.has("team") && { "berth-team": "x" }) } });
	},
};`;

/** Begins a request and gives what has come of its answer so far. */
function begin(deployed: Deployed, query: string) {
	const { hostname, port } = new URL(stack.url);
	const socket = connect(Number(port), hostname);
	socket.on("error", () => undefined);
	const head = `GET /fn/default/${deployed.name}/${query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${stack.key}\r\nconnection: close\r\n\r\n`;
	socket.write(head);
	return socket;
}

const idIn = (answer: string) => /berth-invocation-id: (\w+)/.exec(answer)?.[1] ?? "";

describe("a streamed answer", () => {
	it("comes as its function gives it, with its outcome last, and is on record", async () => {
		const streams = await deploy(stack, { source: STREAMS });
		const pieces: string[] = [];
		const answer = await streams.request({
			path: "/?pieces=4&team=1",
			onPiece: (piece) => void pieces.push(Buffer.from(piece).toString()),
		});
		expect(pieces.join("")).toBe("data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\n");
		expect([answer.status, header(answer, "x-own"), header(answer, "content-type")]).toEqual([201, "1", "text/event-stream"]);
		expect(answer.trailers["berth-outcome"]).toBe("succeeded");
		const record = await streams.record({ id: String(header(answer, "berth-invocation-id")) });
		expect(record).toMatchObject({ outcome: "succeeded", streamed: { bytes: 36 } });
		expect(record.logs?.map(({ text }) => text)).toEqual([
			'berth: left out of the answer\'s headers: "berth-team" (not for functions to say)',
		]);
	});

	it.each([
		["throws", "handler_error"],
		["exits", "crashed"],
	])("of a function that %s in the middle has no end, and the record says why", async (how, outcome) => {
		const streams = await deploy(stack, { source: STREAMS });
		const answer = await text(begin(streams, `?pieces=2&${how}=1`));
		expect(answer).toContain("data: 1\n\n");
		expect(answer).not.toMatch(/\r\n0\r\n/);
		expect(await streams.record({ id: idIn(answer) })).toMatchObject({ outcome, streamed: { bytes: 18 } });
	});

	it("beyond its time is cut off, and killed", async () => {
		const streams = await deploy(stack, { source: STREAMS, timeoutMs: 300 });
		const answer = await text(begin(streams, "?pieces=1000&ms=20"));
		expect(answer).not.toMatch(/\r\n0\r\n/);
		expect((await streams.record({ id: idIn(answer) })).outcome).toBe("timed_out");
	});

	it("beyond its size is cut off: response_too_large", async () => {
		const streams = await deploy(stack, { source: STREAMS, streamMiB: 1 });
		const failed = await streams.request({ path: "/?pieces=17&large=1&ms=0" }).catch((error: unknown) => error);
		expect(failed).toBeInstanceOf(CutError);
		const { invocationId: id } = failed as CutError;
		expect(await streams.record({ id })).toMatchObject({ outcome: "response_too_large", streamed: { bytes: 1024 * 1024 } });
		expect((await streams.request({ path: "/?pieces=16&large=1&ms=0" })).body).toHaveLength(1024 * 1024);
	});

	it("whose client goes away is cancelled, and its sandbox serves on", async () => {
		const streams = await deploy(stack, { source: STREAMS });
		const socket = begin(streams, "?pieces=1000&ms=20");
		const [head] = (await once(socket, "data")) as [Buffer];
		socket.destroy();
		const id = idIn(head.toString());
		await eventually(async () => expect((await streams.record({ id })).outcome).toBe("cancelled"));
		const { sandbox, logs } = await streams.record({ id });
		expect(logs[0]?.text).toMatch(/^cancelled after \d+$/);
		const next = await streams.request();
		expect(await streams.record({ id: String(header(next, "berth-invocation-id")) })).toMatchObject({ sandbox, start: "warm" });
	});

	it("waits for a client that reads slowly, and holds no more than what is on its way", async () => {
		const streams = await deploy(stack, { source: STREAMS });
		const socket = begin(streams, "?pieces=1000&ms=0&large=1");
		const [head] = (await once(socket, "data")) as [Buffer];
		socket.pause();
		const id = idIn(head.toString());
		// It stands once everything between is full.
		await new Promise((resolve) => setTimeout(resolve, 700));
		socket.destroy();
		await eventually(async () => expect((await streams.record({ id })).outcome).toBe("cancelled"));
		expect((await streams.record({ id })).streamed?.bytes).toBeLessThan(16 * 1024 * 1024);
	});

	it("is collected in the background, and for a function that invokes another one", async () => {
		const source = `export default async function* () { for (let i = 0; i < 3; i++) { yield { i }; await new Promise((r) => setTimeout(r, 5)); } }`;
		const generates = await deploy(stack, { source });
		expect((await generates.invoke()).raw.body.toString()).toBe('{"i":0}\n{"i":1}\n{"i":2}\n');
		const { id } = await stack.client.invokeAsync(generates.name);
		await eventually(async () => expect((await generates.record({ id })).state).toBe("settled"));
		expect((await generates.record({ id })).result).toMatchObject({
			contentType: "application/x-ndjson",
			text: '{"i":0}\n{"i":1}\n{"i":2}\n',
		});
		const asks = await deploy(stack, { source: `export default async (_, ctx) => (await ctx.invoke("${generates.name}")).result;` });
		expect((await asks.invoke()).outcome).toBe("succeeded");
	});

	it("is printed by the command line as it comes; one that breaks off fails, with what the record says", async () => {
		const source = `export default async function* ({ fails }) {
			yield { i: 0 };
			await new Promise((resolve) => setTimeout(resolve, 5));
			yield { i: 1 };
			if (fails) throw new RangeError("in the middle");
		}`;
		const { name } = await deploy(stack, { source });
		expect(await stack.berth("invoke", name, "-d", "{}")).toMatchObject({ code: 0, stdout: '{"i":0}\n{"i":1}\n' });
		const failed = await stack.berth("invoke", name, "-d", '{"fails":true}');
		// What it gave last, too, though it failed at once then.
		expect([failed.code, failed.stdout]).toEqual([1, '{"i":0}\n{"i":1}\n']);
		expect(failed.stderr).toContain("handler_error: the answer broke off: RangeError: in the middle");
	});

	it("is a generator's of Python, and a program's whose chunks are passed on, which gets a large request as it comes", async () => {
		const python = await deploy(stack, {
			runtime: "python3",
			source:
				"def handler(event, context):\n    try:\n        for i in range(3):\n            yield {'i': i}\n    finally:\n        print('closed')",
		});
		const answer = await python.invoke();
		expect([answer.raw.body.toString(), answer.raw.trailers["berth-outcome"]]).toEqual([
			'{"i": 0}\n{"i": 1}\n{"i": 2}\n'.replaceAll(": ", ":"),
			"succeeded",
		]);
		expect((await python.record(answer)).logs[0]?.text).toBe("closed");
		const source = `#!/usr/bin/node
			require("node:http").createServer((request, response) => {
				let bytes = 0;
				request.on("data", (piece) => (bytes += piece.length) === piece.length && response.write("began "));
				request.on("end", () => response.end(String(bytes)));
			}).listen(process.env.BERTH_SOCKET);`;
		const program = await deploy(stack, { runtime: "custom", source });
		const counted = await program.request({ method: "POST", body: Buffer.alloc(7 * 1024 * 1024) });
		expect([counted.body.toString(), counted.trailers["berth-outcome"]]).toEqual([`began ${7 * 1024 * 1024}`, "succeeded"]);
	});

	it("of a HEAD is its head", async () => {
		const streams = await deploy(stack, { source: STREAMS });
		const answer = await streams.request({ method: "HEAD", path: "/?pieces=100000" });
		expect([answer.status, header(answer, "content-type"), answer.body.length]).toEqual([201, "text/event-stream", 0]);
	});
});

describe("a request's body beyond 6 MiB", () => {
	const COUNTS = `export default {
		async fetch(request: Request): Promise<Response> {
			if (new URL(request.url).searchParams.has("echo")) return new Response(request.body);
			let bytes = 0;
			for await (const piece of request.body ?? []) bytes += piece.length;
			return Response.json({ bytes });
		},
	};`;
	const body = Buffer.alloc(8 * 1024 * 1024, "0123456789abcdef");

	it("streams into a fetch handler, and out of it as it comes", async () => {
		const counts = await deploy(stack, { source: COUNTS });
		expect((await counts.request({ method: "POST", body })).body.toString()).toBe(`{"bytes":${body.length}}`);
		expect((await counts.request({ method: "POST", path: "/?echo=1", body })).body.equals(body)).toBe(true);
		const pieces = async function* () {
			for (let at = 0; at < body.length; at += 1_000_000) yield body.subarray(at, at + 1_000_000);
		};
		expect((await counts.request({ method: "POST", body: pieces() })).body.toString()).toBe(`{"bytes":${body.length}}`);
	});

	it("is too large for a handler that is given it whole: 413, and nothing runs", async () => {
		const takes = await deploy(stack, { source: "export default (payload: Uint8Array) => payload.length;" });
		const answer = await takes.request({ method: "POST", body, headers: { "content-type": "application/octet-stream" } });
		expect([answer.status, header(answer, "berth-outcome")]).toEqual([413, undefined]);
		const problem = JSON.parse(answer.body.toString()) as Record<string, unknown>;
		expect(problem).toMatchObject({
			code: "body_too_large",
			limitBytes: 6 * 1024 * 1024,
			detail: expect.stringMatching(/^the body may have/),
		});
		expect(problem).not.toHaveProperty("outcome");
	});
});
