import { FROM_AGENT, type Frame, type FrameBounds, QUESTIONS, TO_AGENT } from "@berth/contracts";
import { AgentLink } from "./agent-link.js";
import { goesOnIn, invocationIn, questionIn } from "./agent-words.js";

/** How a sandbox's end showed: its container's exit code, or what its agent did wrong. */
export interface Ending {
	readonly violation?: Error;
	readonly code?: number;
}

/** The answer to a question, or the sandbox's end in its place. */
export type Reply = { readonly frame: Frame } | { readonly ended: Ending };

/** Answers what an agent asks while it is being asked: of a build sandbox alone. One that rejects ends the sandbox. */
export type Respond = (head: unknown, body: Uint8Array) => Promise<{ readonly head: object; readonly body?: Uint8Array }>;

/** What an agent may say in pieces before its answer. */
export interface Pieces {
	takes(type: number): boolean;
	/** @returns what was wrong with it, which ends the sandbox */
	take(frame: Frame): string | undefined;
}

interface Question {
	readonly expected: number;
	readonly respond: Respond | undefined;
	readonly pieces: Pieces | undefined;
	readonly resolve: (reply: Reply) => void;
}

/**
 * Questions to an agent and their answers, one at a time. Whatever the agent says unasked ends the
 * sandbox, but for `settled`, which comes after an answer that announced it, and questions of its own where they are answered.
 */
export class Conversation {
	readonly #link: AgentLink;
	readonly #ending = Promise.withResolvers<Ending>();
	#ended: Ending | undefined;
	#question: Question | undefined;
	/** Questions of the agent's that aren't answered yet. */
	#unanswered = 0;
	/** An invocation that was answered and goes on. */
	#settling: { readonly id: string; readonly done: PromiseWithResolvers<void> } | undefined;

	private constructor(link: AgentLink) {
		this.#link = link;
		link.listenTo(
			(frame) => this.#receive(frame),
			(violation) => this.end(violation === undefined ? {} : { violation }),
		);
	}

	/** Listens for the agent of a sandbox that is about to start. */
	static async open(socketPath: string, bounds: FrameBounds): Promise<Conversation> {
		return new Conversation(await AgentLink.listen(socketPath, bounds));
	}

	/** Resolves when agent or container is gone, whatever the reason. */
	get ending(): Promise<Ending> {
		return this.#ending.promise;
	}

	get ended(): Ending | undefined {
		return this.#ended;
	}

	/** Waits for the next frame, which has to be of this type or `failed`. */
	hear(expected: number, respond?: Respond, pieces?: Pieces): Promise<Reply> {
		if (this.#ended !== undefined) return Promise.resolve({ ended: this.#ended });
		return new Promise((resolve) => {
			this.#question = { expected, respond, pieces, resolve };
		});
	}

	ask(type: number, expected: number, head: object, body?: Uint8Array, respond?: Respond, pieces?: Pieces): Promise<Reply> {
		const reply = this.hear(expected, respond, pieces);
		this.#link.send(type, head, body);
		return reply;
	}

	tell(type: number, head: object, body?: Uint8Array): void {
		this.#link.send(type, head, body);
	}

	/** Resolves when nothing of this invocation is open any more, as its agent says, or when the sandbox has ended. */
	settled(id: string): Promise<void> {
		return this.#settling?.id === id ? this.#settling.done.promise : Promise.resolve();
	}

	/** Ends it: only the first ending counts. */
	end(ending: Ending): void {
		if (this.#ended !== undefined) return;
		this.#ended = ending;
		this.#link.close();
		this.#take()?.resolve({ ended: ending });
		this.#settle();
		this.#ending.resolve(ending);
	}

	#receive(frame: Frame): void {
		if (frame.type === FROM_AGENT.settled && this.#settling !== undefined && this.#settling.id === invocationIn(frame.head)) {
			this.#settle();
			return;
		}
		const question = this.#question;
		if (question === undefined) this.end({ violation: new Error(`a frame of type ${frame.type} that nobody asked for`) });
		else if (frame.type === FROM_AGENT.question && question.respond !== undefined) this.#respond(question.respond, frame);
		else if (question.pieces?.takes(frame.type) === true) this.#piece(question.pieces, frame);
		else if (frame.type === question.expected || frame.type === FROM_AGENT.failed) this.#answer(question, frame);
		else this.end({ violation: new Error(`a frame of type ${frame.type} where ${question.expected} was due`) });
	}

	#piece(pieces: Pieces, frame: Frame): void {
		const wrong = pieces.take(frame);
		if (wrong !== undefined) this.end({ violation: new Error(wrong) });
	}

	/** `settled` may come right behind what announces it, before anybody has read that. */
	#answer({ expected }: Question, frame: Frame): void {
		const id = expected === FROM_AGENT.answer ? goesOnIn(frame.head) : undefined;
		if (id !== undefined) this.#settling = { id, done: Promise.withResolvers() };
		this.#take()?.resolve({ frame });
	}

	#respond(respond: Respond, { head, body }: Frame): void {
		const number = questionIn(head);
		if (number === undefined || this.#unanswered >= QUESTIONS.atOnce || body.byteLength > QUESTIONS.bodyBytes) {
			this.end({ violation: new Error("a question that isn't one, or is too much") });
			return;
		}
		this.#unanswered++;
		respond(head, body)
			.then(
				(reply) => this.#link.send(TO_AGENT.reply, { ...reply.head, question: number }, reply.body),
				(error: unknown) => this.end({ violation: error as Error }),
			)
			.finally(() => this.#unanswered--);
	}

	#settle(): void {
		this.#settling?.done.resolve();
		this.#settling = undefined;
	}

	#take(): Question | undefined {
		const question = this.#question;
		this.#question = undefined;
		return question;
	}
}
