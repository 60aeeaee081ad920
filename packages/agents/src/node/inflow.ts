import { type BodyHead, FROM_AGENT } from "@berth/contracts/agent";
import type { Link } from "./link.js";

/** A request's body that comes in pieces: no more of it is sent than is read. */
export class Inflow {
	readonly #id: string;
	readonly #link: Pick<Link, "send">;
	readonly #chunks: Uint8Array[] = [];
	#end: BodyHead["end"];
	#waiting: (() => void) | undefined;
	#closed = false;

	constructor(link: Pick<Link, "send">, id: string) {
		this.#link = link;
		this.#id = id;
	}

	take(head: BodyHead, body: Uint8Array): void {
		if (head.id !== this.#id) return;
		if (head.end === undefined) this.#chunks.push(body);
		else this.#end = head.end;
		this.#wake();
	}

	/** The next piece; undefined: it is over. @throws Error when it broke off */
	async next(): Promise<Uint8Array | undefined> {
		while (this.#chunks.length === 0 && this.#end === undefined) {
			await new Promise<void>((resolve) => {
				this.#waiting = resolve;
			});
		}
		const chunk = this.#chunks.shift();
		if (chunk === undefined) {
			if (this.#end === "broken") throw new Error("the request's body broke off");
			return undefined;
		}
		if (!this.#closed) this.#link.send(FROM_AGENT.taken, { id: this.#id, chunks: 1 });
		return chunk;
	}

	stream(): ReadableStream<Uint8Array> {
		return new ReadableStream<Uint8Array>(
			{
				pull: async (controller) => {
					const chunk = await this.next();
					if (chunk === undefined) controller.close();
					else controller.enqueue(chunk);
				},
				cancel: () => this.close("whole"),
			},
			{ highWaterMark: 0 },
		);
	}

	/** Nothing more is taken: after its answer, nothing is said of an invocation. */
	close(how: "whole" | "broken" = "broken"): void {
		this.#closed = true;
		this.#chunks.length = 0;
		this.#end ??= how;
		this.#wake();
	}

	#wake(): void {
		this.#waiting?.();
		this.#waiting = undefined;
	}
}
