import type { IncomingMessage } from "node:http";
import { BerthError, FIXED_LIMITS, type InvocationRequest, type StreamHead, type StreamPlace, sizeText } from "@berth/contracts";
import type { Lease, Streams } from "@berth/sandbox";
import { AnswerUpload } from "./answer-upload.js";
import type { GatewayPlaces } from "./gateway-place.js";

const EMPTY = new Uint8Array(0);

/** What of one attempt goes in pieces between its sandbox and the gateway that owns its invocation. */
export class AttemptStreams implements Streams {
	readonly answer: AnswerUpload;
	readonly maxBytes: number;
	readonly #places: GatewayPlaces;
	readonly #request: InvocationRequest & { readonly stream: StreamPlace };
	/** The request's body, where the sandbox takes it so. */
	body?: IncomingMessage;

	/** @param headOf what there is to say of the attempt when its answer begins */
	constructor(
		places: GatewayPlaces,
		request: InvocationRequest & { readonly stream: StreamPlace },
		maxBytes: number,
		headOf: () => Pick<StreamHead, "phases" | "start">,
	) {
		this.#places = places;
		this.#request = request;
		this.maxBytes = maxBytes;
		this.answer = new AnswerUpload(places, request, headOf);
	}

	/** The payload of a request whose body is larger than is held: nothing, and the body goes in pieces. @throws BerthError body_too_large, cancelled */
	async payloadFor({ sandbox }: Lease): Promise<Uint8Array> {
		const { stream, id } = this.#request;
		if (!sandbox.takesBody) {
			const most = FIXED_LIMITS.bodyBytes;
			const what = `the body may have ${sizeText(most)} at most: a handler that isn't for requests (fetch) is given it whole`;
			throw new BerthError("body_too_large", what, { extra: { limitBytes: most } });
		}
		this.body = await this.#places.body(stream, id);
		return EMPTY;
	}

	/** The attempt is over. @param whole whether its answer is */
	end(whole: boolean): void {
		this.body?.destroy();
		this.answer.end(whole);
	}
}
