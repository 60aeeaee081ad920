import { existsSync } from "node:fs";
import {
	type BodyHead,
	type CreditHead,
	FROM_AGENT,
	type Frame,
	headerBytesOf,
	type InvokeHead,
	SANDBOX_PATHS,
	type SpecialiseHead,
	TO_AGENT,
} from "@berth/contracts/agent";
import { describeError } from "../node/errors.js";
import { markOutput } from "../node/flush-output.js";
import { Inflow } from "../node/inflow.js";
import { Invokes } from "../node/invokes.js";
import type { Link } from "../node/link.js";
import { Outflow } from "../node/outflow.js";
import type { Reply } from "../node/payload.js";
import { collected, TooLargeError } from "../node/pieces.js";
import { Questions } from "../node/questions.js";
import { emptyScratch } from "../node/scratch.js";
import { TRUSTED_FILE, trustedFile } from "../node/trust.js";
import { exchange } from "./exchange.js";
import { InvokeServer } from "./invoke-server.js";
import { Program } from "./program.js";
import { warmUp } from "./warmup.js";

/**
 * Between the worker and a program of the function's own: frames on one side, HTTP over a unix socket on the other.
 * It starts the program when it is told which, and ends with it.
 */
export class Bridge {
	readonly #link: Pick<Link, "send">;
	#loaded: SpecialiseHead | undefined;
	#program: Program | undefined;
	#served = 0;
	/** The current invocation's answer, while it is streamed, and its request's body, when that is. */
	#outflow: Outflow | undefined;
	#inflow: Inflow | undefined;
	/** Whether nobody waits for the current invocation any more. */
	#gone = false;

	readonly #questions: Questions;
	/** Where the program invokes other functions. */
	readonly #invoking = new InvokeServer();

	constructor(link: Pick<Link, "send">) {
		this.#link = link;
		this.#questions = new Questions(link);
	}

	async take({ type, head, body }: Frame): Promise<void> {
		if (type === TO_AGENT.preload) {
			await warmUp();
			this.#link.send(FROM_AGENT.preloaded, {});
		} else if (type === TO_AGENT.specialise) await this.#specialise(head as SpecialiseHead, body);
		else if (type === TO_AGENT.invoke) await this.#invoke(head as InvokeHead, body);
		else if (type === TO_AGENT.reply) this.#questions.answered(head, body);
		else if (type === TO_AGENT.credit) this.#outflow?.credit(head as CreditHead);
		else if (type === TO_AGENT.body) this.#inflow?.take(head as BodyHead, body);
		else if (type === TO_AGENT.cancel) {
			// Before its answer begins the program isn't told: there is no way to that every HTTP server knows. What ends in time stays warm.
			this.#gone = true;
			this.#outflow?.cancel(new Error("the invocation was cancelled"));
		}
	}

	async #specialise(head: SpecialiseHead, certificates: Uint8Array): Promise<void> {
		const startedAt = performance.now();
		if (!existsSync(head.entry)) {
			const error = { name: "Error", message: `${head.entry} isn't there` };
			return this.#say(head, FROM_AGENT.failed, { phase: "graft", error });
		}
		try {
			await this.#invoking.listen(SANDBOX_PATHS.invoke);
			this.#program = Program.start(head, trustedFile(certificates));
			await this.#program.listens(SANDBOX_PATHS.http);
			this.#loaded = head;
			this.#link.send(FROM_AGENT.specialised, { handler: "fetch", streams: true, initMs: performance.now() - startedAt });
		} catch (thrown) {
			const { name, message } = describeError(thrown);
			this.#say(head, FROM_AGENT.failed, { phase: "init", error: { name, message } });
		}
	}

	async #invoke(head: InvokeHead, body: Uint8Array): Promise<void> {
		const { id, attempt, maxBodyBytes, maxHeaderBytes } = head;
		if (this.#loaded?.scratch === "fresh" && this.#served++ > 0) emptyScratch(SANDBOX_PATHS.http, SANDBOX_PATHS.invoke, TRUSTED_FILE);
		const startedAt = performance.now();
		this.#inflow = head.streamsBody === true ? new Inflow(this.#link, id) : undefined;
		this.#gone = false;
		this.#invoking.begin(new Invokes(this.#questions));
		try {
			const reply = await exchange(SANDBOX_PATHS.http, head, this.#inflow ?? body, this.#loaded as SpecialiseHead);
			const { rest, ...whole } = reply;
			const bytes = headerBytesOf(reply);
			if (bytes > maxHeaderBytes) throw new TooLargeError(`the response's headers have ${bytes} bytes, the limit is ${maxHeaderBytes}`);
			const runMs = () => performance.now() - startedAt;
			if (rest !== undefined && head.stream !== undefined) {
				await this.#stream(head, { ...whole, rest });
				this.#inflow?.close();
				return this.#say(head, FROM_AGENT.answer, { id, attempt, runMs: runMs(), waiting: false });
			}
			const answer = await collected(reply, maxBodyBytes);
			if (answer.byteLength > maxBodyBytes) throw new TooLargeError(`the response has more than ${maxBodyBytes} bytes, the limit`);
			const { contentType, response } = whole;
			this.#inflow?.close();
			this.#say(head, FROM_AGENT.answer, { id, attempt, runMs: runMs(), waiting: false, contentType, response }, answer);
		} catch (thrown) {
			this.#inflow?.close();
			const tooLarge = thrown instanceof TooLargeError;
			if (!tooLarge) await this.#program?.lastWords();
			const { name, message } = describeError(thrown);
			const error = { name: tooLarge ? "Error" : name, message };
			this.#say(head, FROM_AGENT.failed, { phase: tooLarge ? "too_large" : "handler", id, error, waiting: false });
		}
	}

	async #stream(head: InvokeHead, reply: Reply): Promise<void> {
		this.#outflow = new Outflow(this.#link, head);
		if (this.#gone) this.#outflow.cancel(new Error("the invocation was cancelled"));
		try {
			await this.#outflow.send(reply);
		} finally {
			this.#outflow = undefined;
		}
	}

	/** What the program printed is in the same pipe already. */
	#say({ outputMark }: SpecialiseHead | InvokeHead, type: number, said: object, body?: Uint8Array): void {
		markOutput(outputMark);
		this.#invoking.end();
		this.#questions.forget();
		this.#link.send(type, said, body);
	}
}
