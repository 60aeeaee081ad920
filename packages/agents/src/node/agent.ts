import { AsyncLocalStorage } from "node:async_hooks";
import { existsSync } from "node:fs";
import {
	type AnswerHead,
	type BodyHead,
	type CreditHead,
	type FailedHead,
	FROM_AGENT,
	type Frame,
	headerBytesOf,
	type InvokeHead,
	type SpecialiseHead,
	TO_AGENT,
} from "@berth/contracts/agent";
import { loadBundle } from "../bundle/load-bundle.js";
import { IdleCompaction } from "./compact.js";
import { Invocation } from "./context.js";
import { describeError } from "./errors.js";
import { flushOutput, markOutput } from "./flush-output.js";
import { type Handler, handlerOf, noHandlerIn } from "./handlers.js";
import { Inflow } from "./inflow.js";
import { Invokes } from "./invokes.js";
import { markLateOutput } from "./late-output.js";
import type { Link } from "./link.js";
import { Outflow } from "./outflow.js";
import type { Reply } from "./payload.js";
import { collected, TooLargeError } from "./pieces.js";
import { type Ask, Questions } from "./questions.js";
import { emptyScratch } from "./scratch.js";
import { TRUSTED_FILE, trust } from "./trust.js";
import { warmUp } from "./warmup.js";

/** Serves one version, one invocation at a time, as the worker says. */
export class Agent {
	readonly #link: Pick<Link, "send">;
	readonly #invocations = new AsyncLocalStorage<Invocation>();
	#loaded: { readonly head: SpecialiseHead; readonly handler: Handler } | undefined;
	#current: Invocation | undefined;
	#served = 0;
	readonly #compaction = new IdleCompaction();
	/** Settled when a built-in module has made itself ready; there is none in a function's sandbox. */
	#builtInReady: Promise<unknown> | undefined;
	readonly #questions: Questions;
	/** The current invocation's answer, while it is streamed, and its request's body, when that is. */
	#outflow: Outflow | undefined;
	#inflow: Inflow | undefined;
	/** Whether nobody waits for the current invocation any more. */
	#gone = false;

	constructor(link: Pick<Link, "send">) {
		this.#link = link;
		this.#questions = new Questions(link);
		markLateOutput(this.#invocations, (owner) => (this.#isLate(owner) ? `late output of ${owner?.head.id}: ` : undefined));
		process.on("uncaughtException", (error) => this.#uncaught(error));
		process.on("unhandledRejection", (reason) => this.#uncaught(reason));
	}

	/** A sandbox of the build class comes with its handler: it is loaded at boot, not grafted. */
	useBuiltIn(module: Readonly<Record<string, unknown>> & { readonly ready: Promise<unknown>; readonly connect: (ask: Ask) => void }): void {
		const handler = handlerOf(module);
		if (handler === undefined) throw new Error("the built-in module exports no handler");
		this.#loaded = { head: { entry: "", project: "", function: "builder", version: 0, env: {}, scratch: "keep" }, handler };
		this.#builtInReady = module.ready;
		module.connect(this.#questions.ask);
	}

	async take({ type, head, body }: Frame): Promise<void> {
		switch (type) {
			case TO_AGENT.preload:
				await warmUp();
				await this.#builtInReady;
				return this.#link.send(FROM_AGENT.preloaded, {});
			case TO_AGENT.specialise:
				return await this.#specialise(head as SpecialiseHead, body);
			case TO_AGENT.invoke:
				return await this.#invoke(head as InvokeHead, body);
			case TO_AGENT.cancel:
				this.#current?.cancel("the invocation was cancelled");
				this.#gone = true;
				this.#outflow?.cancel(cancellation());
				return;
			case TO_AGENT.credit:
				return this.#outflow?.credit(head as CreditHead);
			case TO_AGENT.body:
				return this.#inflow?.take(head as BodyHead, body);
			case TO_AGENT.reply:
				this.#questions.answered(head, body);
		}
	}

	async #specialise(head: SpecialiseHead, certificates: Uint8Array): Promise<void> {
		const startedAt = performance.now();
		if (!existsSync(head.entry)) {
			markOutput(head.outputMark);
			return this.#fail({ phase: "graft", error: { name: "Error", message: `${head.entry} isn't there` } });
		}
		process.env = { ...process.env, ...trust(certificates), ...head.env };
		try {
			const { exports } = await loadBundle(head.entry);
			const handler = handlerOf(exports);
			if (handler === undefined) {
				markOutput(head.outputMark);
				return this.#fail({ phase: "no_handler", error: { name: "Error", message: noHandlerIn(exports) } });
			}
			this.#loaded = { head, handler };
			this.#link.send(FROM_AGENT.specialised, {
				handler: handler.shape,
				initMs: performance.now() - startedAt,
				...(handler.shape === "fetch" ? { streams: true } : {}),
			});
		} catch (thrown) {
			await flushOutput();
			markOutput(head.outputMark);
			this.#fail({ phase: "init", error: describeError(thrown) });
		}
	}

	async #invoke(head: InvokeHead, body: Uint8Array): Promise<void> {
		if (this.#loaded === undefined) {
			markOutput(head.outputMark);
			return this.#fail({ phase: "graft", id: head.id, error: { name: "Error", message: "no function is loaded" } });
		}
		const invokes = new Invokes(this.#questions);
		const invocation = new Invocation(head, this.#loaded.head, invokes);
		if (this.#loaded.head.scratch === "fresh" && this.#served++ > 0) emptyScratch(TRUSTED_FILE);
		this.#current = invocation;
		this.#gone = false;
		this.#inflow = head.streamsBody === true ? new Inflow(this.#link, head.id) : undefined;
		this.#compaction.begun();
		const startedAt = performance.now();
		try {
			const reply = await this.#invocations.run(invocation, () => this.#run(invocation, body));
			const begun = invokes.settled();
			if (begun !== undefined) await begun;
			const runMs = performance.now() - startedAt;
			// Only when something is left to print: every other answer goes at once.
			const flushed = flushOutput();
			if (flushed !== undefined) await flushed;
			markOutput(head.outputMark);
			this.#inflow?.close();
			this.#closeAsking(invokes);
			this.#answer(invocation, reply, runMs);
		} catch (thrown) {
			await invokes.settled();
			await flushOutput();
			markOutput(head.outputMark);
			this.#inflow?.close();
			this.#closeAsking(invokes);
			const phase = thrown instanceof TooLargeError ? "too_large" : "handler";
			this.#fail({ phase, id: head.id, error: describeError(thrown), waiting: invocation.isWaiting });
		}
		if (invocation.isWaiting) {
			await invocation.settled();
			this.#link.send(FROM_AGENT.settled, { id: head.id });
		}
		invocation.close();
		if (this.#current !== invocation) return;
		this.#current = undefined;
		if (head.compact === true) this.#compaction.ended();
	}

	/** From the answer on nobody is answered, and who asks is no invocation any more. */
	#closeAsking(invokes: Invokes): void {
		invokes.close();
		this.#questions.forget();
	}

	async #run(invocation: Invocation, body: Uint8Array): Promise<Reply> {
		const { trigger, stream, maxBodyBytes } = invocation.head;
		const contentType =
			trigger.kind === "event" ? trigger.contentType : trigger.request.headers.find(([name]) => name === "content-type")?.[1];
		const { handler } = this.#loaded as { handler: Handler };
		const input = this.#inflow?.stream() ?? body;
		const reply = await handler.handle(input, contentType, invocation.context, () => invocation.signal);
		if (reply.rest === undefined) return reply;
		const { rest, ...whole } = reply;
		if (trigger.kind === "http" && trigger.request.method === "HEAD") {
			// Nobody is given a body.
			await rest.cancel("a HEAD has no body");
			return { ...whole, body: new Uint8Array(0) };
		}
		return stream === undefined ? { ...whole, body: await collected(reply, maxBodyBytes) } : await this.#stream(invocation, reply);
	}

	/** What is left to answer is that it is over. */
	async #stream(invocation: Invocation, reply: Reply): Promise<Reply> {
		this.#outflow = new Outflow(this.#link, invocation.head);
		if (this.#gone) this.#outflow.cancel(cancellation());
		try {
			await this.#outflow.send(reply);
			return { body: new Uint8Array(0) };
		} finally {
			this.#outflow = undefined;
		}
	}

	#answer(invocation: Invocation, reply: Reply, runMs: number): void {
		const { id, attempt } = invocation.head;
		const message = tooLarge(reply, invocation.head);
		if (message !== undefined) {
			this.#fail({ phase: "too_large", id, error: { name: "Error", message }, waiting: invocation.isWaiting });
			return;
		}
		const head: AnswerHead = {
			id,
			attempt,
			runMs,
			waiting: invocation.isWaiting,
			...(reply.contentType === undefined ? {} : { contentType: reply.contentType }),
			...(reply.response === undefined ? {} : { response: reply.response }),
		};
		this.#link.send(FROM_AGENT.answer, head, reply.body);
	}

	#fail(head: FailedHead): void {
		this.#link.send(FROM_AGENT.failed, head);
	}

	/**
	 * An error nobody caught ends the process, as Node would; but one that belongs to an invocation
	 * which is over must not be charged to the one that runs now: it becomes a log line.
	 */
	#uncaught(thrown: unknown): void {
		const owner = this.#invocations.getStore();
		const late = this.#isLate(owner);
		const { stack, message } = describeError(thrown);
		const text = stack === undefined ? message : stack.split("\n").filter(isOfFunction).join("\n");
		process.stderr.write(`${late ? `late error of invocation ${owner?.head.id}` : "uncaught"}: ${text}\n`);
		if (!late) process.exit(1);
	}

	/** Code of an invocation that is over: another one may run by now. */
	#isLate(owner: Invocation | undefined): boolean {
		return owner !== undefined && owner !== this.#current;
	}
}

/** A line of a stack that isn't a frame of ours, or of Node's own. */
function isOfFunction(line: string): boolean {
	return !/^\s+at (?:.*\()?(?:async )?(?:file:\/\/)?(?:node:|\/berth\/)/.test(line);
}

function cancellation(): Error {
	return new DOMException("the invocation was cancelled", "AbortError");
}

/** What of a reply is more than may be; undefined when nothing is. */
function tooLarge(reply: Reply, { maxBodyBytes, maxHeaderBytes }: InvokeHead): string | undefined {
	if (reply.body.byteLength > maxBodyBytes) return `the response has ${reply.body.byteLength} bytes, the limit is ${maxBodyBytes}`;
	const bytes = headerBytesOf(reply);
	return bytes > maxHeaderBytes ? `the response's headers have ${bytes} bytes, the limit is ${maxHeaderBytes}` : undefined;
}
