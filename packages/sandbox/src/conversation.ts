import { FROM_AGENT, type Frame, type FrameBounds, type QuestionBounds, TO_AGENT } from "@berth/contracts";
import { AgentLink } from "./agent-link.js";
import { goesOnIn, invocationIn, questionIn } from "./agent-words.js";

/** How a sandbox's end showed: its container's exit code, or what its agent did wrong. */
export interface Ending {
	readonly violation?: Error;
	readonly code?: number;
}

/** The answer to a question, or the sandbox's end in its place. */
export type Reply = { readonly frame: Frame } | { readonly ended: Ending };

/** The answer to an agent's own question. */
export interface Responded {
	readonly head: object;
	readonly body?: Uint8Array;
	/** Told when the agent has been sent it, or never will be. */
	readonly done?: () => void;
}

/** Answers what an agent asks while it is being asked, by the number of its question. One that rejects ends the sandbox. */
export type Respond = (head: unknown, body: Uint8Array, question: number) => Promise<Responded>;

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
	/** Questions of the agent's that aren't answered yet, and bytes of their bodies. */
	open: number;
	bytes: number;
}

/**
 * Questions to an agent and their answers, one at a time. Whatever the agent says unasked ends the
 * sandbox, but for `settled`, which comes after an answer that announced it, and questions of its own where they are answered.
 */
export class Conversation {
	readonly #link: AgentLink;
	readonly #bounds: QuestionBounds;
	readonly #ending = Promise.withResolvers<Ending>();
	#ended: Ending | undefined;
	#question: Question | undefined;
	/** An invocation that was answered and goes on. */
	#settling: { readonly id: string; readonly done: PromiseWithResolvers<void> } | undefined;

	private constructor(link: AgentLink, bounds: QuestionBounds) {
		this.#link = link;
		this.#bounds = bounds;
		link.listenTo(
			(frame) => this.#receive(frame),
			(violation) => this.end(violation === undefined ? {} : { violation }),
		);
	}

	/** Listens for the agent of a sandbox that is about to start. */
	static async open(socketPath: string, bounds: FrameBounds, questions: QuestionBounds): Promise<Conversation> {
		return new Conversation(await AgentLink.listen(socketPath, bounds), questions);
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
			this.#question = { expected, respond, pieces, resolve, open: 0, bytes: 0 };
		});
	}

	ask(type: number, expected: number, head: object, body?: Uint8Array, respond?: Respond, pieces?: Pieces): Promise<Reply> {
		const reply = this.hear(expected, respond, pieces);
		this.#link.send(type, head, body);
		return reply;
	}

	/** @param onTaken as with `AgentLink.send` */
	tell(type: number, head: object, body?: Uint8Array, onTaken?: () => void): void {
		this.#link.send(type, head, body, onTaken);
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
		else if (frame.type === FROM_AGENT.question && question.respond !== undefined) this.#respond(question, question.respond, frame);
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

	#respond(question: Question, respond: Respond, { head, body }: Frame): void {
		const number = questionIn(head);
		const { atOnce, bodyBytes, bytesAtOnce } = this.#bounds;
		const bytes = body.byteLength;
		if (number === undefined || question.open >= atOnce || bytes > bodyBytes || question.bytes + bytes > bytesAtOnce) {
			this.end({ violation: new Error("a question that isn't one, or is too much") });
			return;
		}
		question.open++;
		question.bytes += bytes;
		respond(head, body, number).then(
			(reply) => this.#reply(question, number, bytes, reply),
			(error: unknown) => {
				if (this.#question === question) this.end({ violation: error as Error });
			},
		);
	}

	/** Open until the agent has taken it: who doesn't read can't have more and more written to it. */
	#reply(question: Question, number: number, bytes: number, { head, body, done }: Responded): void {
		// What it was asked for is over: what runs now has no such question.
		if (this.#question !== question) {
			done?.();
			return;
		}
		this.#link.send(TO_AGENT.reply, { ...head, question: number }, body, () => {
			question.open--;
			question.bytes -= bytes;
			done?.();
		});
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
