import { encodeFrame, FROM_AGENT, type InvokeHead, type SpecialiseHead } from "@berth/contracts/agent";
import { compactHeap } from "./compact.js";
import { Invocation } from "./context.js";
import { handlerOf } from "./handlers.js";
import { Invokes } from "./invokes.js";
import { Questions } from "./questions.js";

const ROUNDS = 3;
const NOBODY = new Invokes(new Questions({ send: () => undefined }));
const LOADED: SpecialiseHead = { entry: "", project: "", function: "", version: 0, env: {}, scratch: "keep" };
const REQUEST = {
	method: "POST",
	url: "/?a=1",
	headers: [
		["content-type", "application/json"],
		["host", "function"],
	],
} as const;
const HTTP: InvokeHead = {
	id: "",
	attempt: 1,
	timeoutMs: 1,
	trigger: { kind: "http", request: REQUEST },
	maxBodyBytes: 0,
	maxHeaderBytes: 0,
};
const EVENT: InvokeHead = { ...HTTP, trigger: { kind: "event", contentType: "application/json" } };

/**
 * What a first invocation would otherwise pay for (19 ms for the web classes alone): each way through
 * a handler is gone a few times while the sandbox waits prewarmed, never on the way of a start.
 */
export async function warmUp(): Promise<void> {
	// The first use of these opens a stream.
	void process.stdout;
	void process.stderr;
	const handlers = [
		handlerOf({ default: { fetch: async (request: Request) => Response.json(await request.json()) } }),
		handlerOf({ default: async (payload: unknown) => payload }),
		handlerOf({ handler: async (event: unknown) => event }),
	];
	const body = Buffer.from('{"a":1}');
	for (let round = 0; round < ROUNDS; round++) {
		for (const head of [HTTP, EVENT]) {
			for (const handler of handlers) {
				const invocation = new Invocation(head, LOADED, NOBODY);
				const reply = await handler?.handle(body, "application/json", invocation.context, () => invocation.signal);
				encodeFrame(FROM_AGENT.answer, { id: "", response: reply?.response }, reply?.body);
			}
		}
	}
	await Response.json({}).arrayBuffer();
	await new Response("text").text();
	// The first import pays for the loader; this one is of a module that is always there.
	await import("/berth/warm.mjs" as string);
	compactHeap();
}
