import { Agent } from "node:http";
import type { InvocationRequest, JoinedHead } from "@berth/contracts";
import type { Responded } from "@berth/sandbox";
import type { Ways } from "./gateway-ways.js";
import { invokeOver, type Reading } from "./invoke-gateway.js";
import { abandonedIn, askedIn } from "./invoke-words.js";

export interface InvokesOptions {
	/** To a gateway, for what functions ask of each other. */
	readonly ways: Ways;
	/** As `InvocationSource.waits`. */
	readonly waits: (invocation: string) => () => void;
}

/** What functions that run here ask of others of their project: by `ctx.invoke`, and over networks of functions. */
export class Invokes {
	readonly #options: InvokesOptions;
	readonly #agent = new Agent({ keepAlive: true });
	readonly #running = new Map<string, AttemptInvokes>();

	constructor(options: InvokesOptions) {
		this.#options = options;
	}

	/** An attempt begins. @param deadlineMs when it is killed, milliseconds since the epoch. Whoever calls it ends it. */
	begin(request: InvocationRequest, deadlineMs: number): AttemptInvokes {
		const { ways, waits } = this.#options;
		const { id } = request;
		const attempt = new AttemptInvokes({
			request,
			deadlineMs,
			ways,
			agent: this.#agent,
			waits: () => waits(id),
			onEnd: () => {
				if (this.#running.get(id) === attempt) this.#running.delete(id);
			},
		});
		this.#running.set(id, attempt);
		return attempt;
	}

	/** The attempt of an invocation, while it isn't over. */
	find(invocation: string): AttemptInvokes | undefined {
		return this.#running.get(invocation);
	}

	close(): void {
		this.#agent.destroy();
	}
}

interface AttemptInvokesParts {
	readonly request: InvocationRequest;
	readonly deadlineMs: number;
	readonly ways: Ways;
	readonly agent: Agent;
	readonly waits: () => () => void;
	readonly onEnd: () => void;
}

/** One that an attempt waits for. */
export interface Awaited {
	/** Aborted when nobody waits any longer. */
	readonly signal: AbortSignal;
	/** It has been answered. */
	over(): void;
}

/** What one attempt asks of other functions. With it ends its waiting, and what it waits for that isn't asked under an idempotency key: that goes on, as its answer is wanted later. */
export class AttemptInvokes {
	readonly #parts: AttemptInvokesParts;
	readonly #open = new Set<AbortController>();
	readonly #byQuestion = new Map<number, AbortController>();
	/** One large result at a time is held here: the others wait at the gateway. */
	#reading: Promise<void> = Promise.resolve();
	#cancelled = false;

	constructor(parts: AttemptInvokesParts) {
		this.#parts = parts;
	}

	/** Who asks, for what it asks over a network. */
	get asking(): Pick<Required<JoinedHead>, "parent" | "deadlineMs"> {
		return { parent: this.#parts.request.id, deadlineMs: this.#parts.deadlineMs };
	}

	/** Answers its agent. @throws Error for what no agent of ours asks */
	readonly respond = async (head: unknown, body: Uint8Array, question: number): Promise<Responded> => {
		const abandoned = abandonedIn(head);
		if (abandoned !== undefined) {
			this.#byQuestion.get(abandoned)?.abort();
			return { head: {} };
		}
		const asked = askedIn(head);
		const { request, deadlineMs, ways, agent } = this.#parts;
		// What is accepted for later is nobody's to take back.
		const awaited = asked.async ? undefined : this.wait();
		if (awaited !== undefined) this.#byQuestion.set(question, awaited.control);
		try {
			return await invokeOver({
				ways,
				agent,
				head: {
					...asked.head,
					project: request.project,
					parent: { id: request.id, function: request.function },
					depth: (request.depth ?? 0) + 1,
					deadlineMs,
				},
				contentType: asked.contentType,
				body,
				trace: request.trace,
				signal: awaited?.signal,
				readsLarge: () => this.#turn(),
			});
		} finally {
			this.#byQuestion.delete(question);
			awaited?.over();
		}
	};

	/** One more that it waits for. */
	wait(): Awaited & { readonly control: AbortController } {
		const control = new AbortController();
		if (this.#cancelled) control.abort();
		this.#open.add(control);
		const goesOn = this.#parts.waits();
		return {
			control,
			signal: control.signal,
			over: () => {
				this.#open.delete(control);
				goesOn();
			},
		};
	}

	/** Nobody waits for it any longer, nor for what it waits for. */
	cancel(): void {
		this.#cancelled = true;
		for (const control of this.#open) control.abort();
	}

	/** It is over, however it went. */
	end(): void {
		this.#parts.onEnd();
		this.cancel();
	}

	async #turn(): Promise<Reading> {
		const before = this.#reading;
		const { promise, resolve } = Promise.withResolvers<void>();
		this.#reading = promise;
		await before;
		return { done: resolve };
	}
}
