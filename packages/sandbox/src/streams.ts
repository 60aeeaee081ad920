import { FROM_AGENT, type Frame, type InvokeHead, type Streamed, type StreamedHead, TO_AGENT } from "@berth/contracts";
import { AnswerInlet, type AnswerSink } from "./answer-inlet.js";
import { BodyOutlet } from "./body-outlet.js";

/** What of an invocation goes in pieces. */
export interface Streams {
	readonly answer?: AnswerSink;
	/** The request's body, for a sandbox that takes it so. */
	readonly body?: AsyncIterable<Uint8Array>;
}

/** Sends a frame to the agent. @param onTaken told when its socket has it, or never will: an agent that doesn't read takes none */
type Send = (type: number, head: object, body: Uint8Array | undefined, onTaken: (() => void) | undefined) => void;

/** Both ways of one attempt, over its sandbox's conversation. */
export class Flow {
	readonly #inlet: AnswerInlet | undefined;
	readonly #outlet: BodyOutlet | undefined;

	/** @param onBegun told how the answer begins that comes in pieces */
	constructor(head: InvokeHead, { answer, body }: Streams, send: Send, onBegun?: (head: StreamedHead) => void) {
		const { id } = head;
		const grant = (chunks: number, onTaken: () => void) => send(TO_AGENT.credit, { id, chunks }, undefined, onTaken);
		this.#inlet = answer && new AnswerInlet(head, answer, grant, onBegun);
		this.#outlet = body && new BodyOutlet(id, (said, bytes, onTaken) => send(TO_AGENT.body, said, bytes, onTaken));
	}

	/** From now on the body is sent: the invocation was. */
	begin(body: AsyncIterable<Uint8Array> | undefined): void {
		if (body !== undefined) void this.#outlet?.pump(body);
	}

	get streamed(): Streamed | undefined {
		return this.#inlet?.streamed;
	}

	/** Whether a frame of this type may come while the answer is due. */
	takes(type: number): boolean {
		if (type === FROM_AGENT.taken) return this.#outlet !== undefined;
		return (type === FROM_AGENT.streamed || type === FROM_AGENT.chunk) && this.#inlet !== undefined;
	}

	/** @returns what was wrong with it */
	take(frame: Frame): string | undefined {
		return frame.type === FROM_AGENT.taken ? this.#outlet?.taken(frame.head) : this.#inlet?.take(frame);
	}

	close(): void {
		this.#inlet?.close();
		this.#outlet?.close();
	}
}
