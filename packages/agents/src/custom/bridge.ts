import { existsSync } from "node:fs";
import {
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
import type { Link } from "../node/link.js";
import { emptyScratch } from "../node/scratch.js";
import { exchange } from "./exchange.js";
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

	constructor(link: Pick<Link, "send">) {
		this.#link = link;
	}

	async take({ type, head, body }: Frame): Promise<void> {
		if (type === TO_AGENT.preload) {
			await warmUp();
			this.#link.send(FROM_AGENT.preloaded, {});
		} else if (type === TO_AGENT.specialise) await this.#specialise(head as SpecialiseHead);
		else if (type === TO_AGENT.invoke) await this.#invoke(head as InvokeHead, body);
		// Of a cancellation the program isn't told: there is no way to that every HTTP server knows. What ends in time stays warm.
	}

	async #specialise(head: SpecialiseHead): Promise<void> {
		const startedAt = performance.now();
		if (!existsSync(head.entry)) {
			const error = { name: "Error", message: `${head.entry} isn't there` };
			return this.#say(head, FROM_AGENT.failed, { phase: "graft", error });
		}
		try {
			this.#program = Program.start(head);
			await this.#program.listens(SANDBOX_PATHS.http);
			this.#loaded = head;
			this.#link.send(FROM_AGENT.specialised, { handler: "fetch", initMs: performance.now() - startedAt });
		} catch (thrown) {
			const { name, message } = describeError(thrown);
			this.#say(head, FROM_AGENT.failed, { phase: "init", error: { name, message } });
		}
	}

	async #invoke(head: InvokeHead, body: Uint8Array): Promise<void> {
		const { id, attempt } = head;
		if (this.#loaded?.scratch === "fresh" && this.#served++ > 0) emptyScratch(SANDBOX_PATHS.http);
		const startedAt = performance.now();
		try {
			const reply = await exchange(SANDBOX_PATHS.http, head, body, this.#loaded as SpecialiseHead);
			const tooLarge = "tooLarge" in reply ? reply.tooLarge : headersTooLarge(headerBytesOf(reply), head.maxHeaderBytes);
			if (tooLarge !== undefined || "tooLarge" in reply) {
				const error = { name: "Error", message: tooLarge };
				return this.#say(head, FROM_AGENT.failed, { phase: "too_large", id, error, waiting: false });
			}
			const { body: bytes, contentType, response } = reply;
			const answer = { id, attempt, runMs: performance.now() - startedAt, waiting: false, contentType, response };
			this.#say(head, FROM_AGENT.answer, answer, bytes);
		} catch (thrown) {
			await this.#program?.lastWords();
			const { name, message } = describeError(thrown);
			this.#say(head, FROM_AGENT.failed, { phase: "handler", id, error: { name, message }, waiting: false });
		}
	}

	/** What the program printed is in the same pipe already. */
	#say({ outputMark }: SpecialiseHead | InvokeHead, type: number, said: object, body?: Uint8Array): void {
		markOutput(outputMark);
		this.#link.send(type, said, body);
	}
}

function headersTooLarge(bytes: number, limit: number): string | undefined {
	return bytes > limit ? `the response's headers have ${bytes} bytes, the limit is ${limit}` : undefined;
}
