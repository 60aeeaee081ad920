import { FROM_AGENT } from "@berth/contracts/agent";
import type { Link } from "./link.js";

/** What the worker answered. */
export interface Answered {
	readonly head: unknown;
	readonly body: Uint8Array;
}

/** Asks the worker something; it answers while an invocation runs. */
export type Ask = (head: object, body?: Uint8Array) => Promise<Answered>;

/** Questions to the worker that aren't answered yet, by number. */
export class Questions {
	readonly #link: Pick<Link, "send">;
	readonly #open = new Map<number, (answered: Answered) => void>();
	#asked = 0;

	constructor(link: Pick<Link, "send">) {
		this.#link = link;
	}

	readonly ask: Ask = (head, body) => this.asked(head, body).answer;

	/** The same, with the question's number. */
	asked(head: object, body?: Uint8Array): { readonly number: number; readonly answer: Promise<Answered> } {
		const number = ++this.#asked;
		const answer = new Promise<Answered>((resolve) => {
			this.#open.set(number, resolve);
			this.#link.send(FROM_AGENT.question, { ...head, question: number }, body);
		});
		return { number, answer };
	}

	/** What was asked for is over: what isn't answered by now never is. */
	forget(): void {
		this.#open.clear();
	}

	answered(head: unknown, body: Uint8Array): void {
		const { question } = head as { question: number };
		this.#open.get(question)?.({ head, body });
		this.#open.delete(question);
	}
}
