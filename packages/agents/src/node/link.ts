import { createConnection, type Socket } from "node:net";
import { BUILD_BOUNDS, encodeFrame, type Frame, FrameDecoder } from "@berth/contracts/agent";

/** The one connection to the worker. Without it the sandbox has no purpose, so its end is ours. */
export class Link {
	readonly #socket: Socket;

	/** @param onFrame is called for each frame, in order */
	constructor(path: string, onFrame: (frame: Frame) => void) {
		const decoder = new FrameDecoder(BUILD_BOUNDS);
		this.#socket = createConnection(path);
		this.#socket.on("data", (chunk: Buffer) => {
			for (const frame of decoder.push(chunk)) onFrame(frame);
		});
		this.#socket.on("error", () => process.exit(1));
		this.#socket.on("close", () => process.exit(0));
	}

	send(type: number, head: object, body?: Uint8Array): void {
		this.#socket.write(encodeFrame(type, head, body));
	}
}
