import type { ClientRequest } from "node:http";
import { encodeStreamHead, type InvocationRequest, type StreamedHead, type StreamHead, type StreamPlace } from "@berth/contracts";
import type { AnswerSink } from "@berth/sandbox";
import type { GatewayPlaces } from "./gateway-place.js";

const TAKEN = 204;

/** A streamed answer on its way to the gateway that owns the invocation, as fast as that takes it. */
export class AnswerUpload implements AnswerSink {
	readonly #places: GatewayPlaces;
	readonly #place: StreamPlace;
	readonly #id: string;
	readonly #headOf: () => Pick<StreamHead, "phases" | "start">;
	#request: ClientRequest | undefined;
	/** Pieces that aren't on their way yet. */
	#unsent = 0;
	#ended = false;
	#broken = false;
	#gone = false;
	/** Called once when nobody takes it any more: its client or its gateway is gone. */
	onGone: () => void = () => undefined;

	/** @param headOf what there is to say of the attempt when its answer begins */
	constructor(
		places: GatewayPlaces,
		{ id, stream }: InvocationRequest & { readonly stream: StreamPlace },
		headOf: () => Pick<StreamHead, "phases" | "start">,
	) {
		this.#places = places;
		this.#place = stream;
		this.#id = id;
		this.#headOf = headOf;
	}

	get isGone(): boolean {
		return this.#gone;
	}

	begin({ contentType, response }: StreamedHead): void {
		const request = this.#places.ask("PUT", this.#place, this.#id);
		this.#request = request;
		request.on("error", () => this.#lose());
		request.on("close", () => this.#lose());
		request.on("response", (answer) => {
			answer.resume();
			if (answer.statusCode !== TAKEN) this.#lose();
		});
		this.#send(
			encodeStreamHead({
				...this.#headOf(),
				...(contentType === undefined ? {} : { contentType }),
				...(response === undefined ? {} : { response }),
			}),
		);
	}

	write(chunk: Uint8Array, taken: () => void): void {
		this.#send(chunk, taken);
	}

	/** Nothing follows. @param whole whether that was all of it: else whoever takes it hears that it broke off, behind all that came before */
	end(whole: boolean): void {
		this.#ended = true;
		this.#broken = !whole;
		if (whole) this.#request?.end();
		else this.#breakOff();
	}

	#send(bytes: Uint8Array, taken: () => void = () => undefined): void {
		if (this.#request === undefined) return;
		this.#unsent++;
		this.#request.write(bytes, (error) => {
			this.#unsent--;
			if (error === undefined || error === null) taken();
			this.#breakOff();
		});
	}

	#breakOff(): void {
		if (this.#broken && this.#unsent === 0) this.#request?.destroy();
	}

	#lose(): void {
		if (this.#ended || this.#gone) return;
		this.#gone = true;
		this.#request?.destroy();
		this.onGone();
	}
}
