import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HEADERS, INVOKING_HEADER, type InvocationRequest, type InvokeReply, type InvokingHead } from "@berth/contracts";
import { Vault } from "@berth/registry";
import { afterEach, beforeEach, expect, test } from "vitest";
import { GatewayWays } from "./gateway-ways.js";
import { Invokes } from "./invokes.js";

const VAULT = new Vault("0".repeat(64));

const REQUEST: InvocationRequest = {
	id: "inv_1",
	project: "default",
	function: "asks",
	version: 1,
	trigger: { kind: "event" },
	body: { text: "" },
	acceptedAtMs: 0,
	timeoutMs: 1000,
	depth: 2,
};
const ASKED = { kind: "invoke", function: "stock@canary", question: 1 };
const NOTHING = Buffer.alloc(0);

let directory: string;
let gateway: Server;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let asked: InvokingHead[];
let waiting: number;
let invokes: Invokes;

/** A server where the gateway's is: what it is told, and what is made of its answers, is all that matters here. */
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "invokes-"));
	[asked, waiting] = [[], 0];
	gateway = createServer((request, response) => {
		asked.push(JSON.parse(String(request.headers[INVOKING_HEADER])) as InvokingHead);
		answer(request, response);
	});
	const gatewaySocket = join(directory, "gateway.sock");
	await once(gateway.listen(gatewaySocket), "listening");
	const waits = () => {
		waiting++;
		return () => void waiting--;
	};
	invokes = new Invokes({ ways: new GatewayWays({ socketPath: gatewaySocket, others: () => [], vault: VAULT }), waits });
});
afterEach(async () => {
	invokes.close();
	gateway.closeAllConnections();
	gateway.close();
	await rm(directory, { recursive: true });
});

const succeed = (body: string | Buffer) => (_: IncomingMessage, response: ServerResponse) =>
	response.writeHead(200, { [HEADERS.invocationId]: "inv_2", [HEADERS.outcome]: "succeeded", "content-length": body.length }).end(body);
const begin = (more: Partial<InvocationRequest> = {}) => invokes.begin({ ...REQUEST, ...more }, 5000);

test("who asks, and how deep, is the worker's to say, whatever else stands in the frame", async () => {
	answer = succeed("{}");
	const forged = { ...ASKED, project: "other", parent: { id: "inv_9", function: "bank" }, depth: -9, deadlineMs: 1e15 };
	const { head, body } = await begin().respond(forged, NOTHING, 1);
	expect(asked).toEqual([
		{ project: "default", parent: { id: "inv_1", function: "asks" }, function: "stock@canary", depth: 3, deadlineMs: 5000, async: false },
	]);
	expect([head, String(body)]).toEqual([{ id: "inv_2", response: { status: 200, headers: [] } }, "{}"]);
});

test.each([
	["nothing", null],
	["something else", { kind: "fetch", question: 1 }],
	["no name", { ...ASKED, function: 7 }],
	["a time that is none", { ...ASKED, timeoutMs: -1 }],
	["a key that is none", { ...ASKED, idempotencyKey: "a b" }],
	["a type that no header may have", { ...ASKED, contentType: "a\r\nberth-invoking: {}" }],
])("a question that asks for %s is none", async (_what, head) => {
	await expect(begin().respond(head, NOTHING, 1)).rejects.toThrow("a question that asks for no invocation");
	expect(asked).toEqual([]);
});

test("a key goes with it, and who asks is still the worker's to say", async () => {
	answer = succeed("{}");
	await begin().respond({ ...ASKED, idempotencyKey: 'order-7"\\' }, NOTHING, 1);
	expect(asked).toMatchObject([{ parent: { function: "asks" }, idempotencyKey: 'order-7"\\' }]);
});

test("the ninth isn't asked for", async () => {
	const { head } = await begin({ depth: 8 }).respond(ASKED, NOTHING, 1);
	expect(head).toMatchObject({ failed: { code: "too_deep", retryable: false } });
	expect(asked).toEqual([]);
});

test("a problem is a failure with its code, and the invocation if there was one", async () => {
	answer = (_, response) =>
		response
			.writeHead(502, { [HEADERS.invocationId]: "inv_2", [HEADERS.outcome]: "handler_error" })
			.end(JSON.stringify({ code: "handler_error", status: 502, detail: "Error: no", retryable: false }));
	const { head } = await begin().respond(ASKED, NOTHING, 1);
	const failed = { code: "handler_error", status: 502, message: "Error: no", retryable: false, outcome: "handler_error" };
	expect(head).toEqual({ id: "inv_2", failed });
});

test.each(["end", "cancel"] as const)("what is waited for is broken off with its attempt: %s", async (how) => {
	const gone = Promise.withResolvers<void>();
	const here = Promise.withResolvers<void>();
	answer = (_, response) => {
		response.once("close", () => gone.resolve());
		here.resolve();
	};
	const attempt = begin();
	const replied = attempt.respond(ASKED, NOTHING, 1);
	await here.promise;
	expect([waiting, invokes.find("inv_1") === attempt]).toEqual([1, true]);
	attempt[how]();
	await gone.promise;
	expect(((await replied).head as InvokeReply).failed?.code).toBe("cancelled");
	expect([waiting, invokes.find("inv_1")]).toEqual([0, how === "end" ? undefined : attempt]);
});

test("one that is abandoned is broken off, the others aren't; what was accepted for later is nobody's to take back", async () => {
	const here = Promise.withResolvers<void>();
	let open = 0;
	const responses: ServerResponse[] = [];
	answer = (_, response) => {
		responses.push(response);
		if (++open === 3) here.resolve();
	};
	const attempt = begin();
	const first = attempt.respond(ASKED, NOTHING, 1);
	const second = attempt.respond({ ...ASKED, question: 2 }, NOTHING, 2);
	const later = attempt.respond({ ...ASKED, question: 3, async: true }, NOTHING, 3);
	await here.promise;
	expect(await attempt.respond({ kind: "abandon", of: 1, question: 4 }, NOTHING, 4)).toEqual({ head: {} });
	expect(((await first).head as InvokeReply).failed?.code).toBe("cancelled");
	attempt.end();
	expect(((await second).head as InvokeReply).failed?.code).toBe("cancelled");
	const accepting = responses[asked.findIndex((head) => head.async)];
	accepting?.writeHead(202, { [HEADERS.invocationId]: "inv_3" }).end("{}");
	expect((await later).head).toEqual({ id: "inv_3" });
});

test("large results are held one at a time: the next is read when the agent has taken the one before", async () => {
	answer = (request, response) => succeed(asked.length < 3 ? Buffer.alloc(100_000) : "small")(request, response);
	const attempt = begin();
	const first = await attempt.respond(ASKED, NOTHING, 1);
	const second = attempt.respond({ ...ASKED, question: 2 }, NOTHING, 2);
	let isRead = false;
	void second.then(() => {
		isRead = true;
	});
	// Small ones pass.
	expect(String((await attempt.respond({ ...ASKED, question: 3 }, NOTHING, 3)).body)).toBe("small");
	expect(isRead).toBe(false);
	first.done?.();
	expect((await second).body?.byteLength).toBe(100_000);
});

test("a gateway that is away is said to be", async () => {
	gateway.close();
	gateway.closeAllConnections();
	const { head } = await begin().respond(ASKED, NOTHING, 1);
	expect(head).toMatchObject({ failed: { code: "unavailable", retryable: true } });
	expect(waiting).toBe(0);
});
