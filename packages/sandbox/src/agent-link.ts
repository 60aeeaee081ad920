import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { encodeFrame, type Frame, type FrameBounds, FrameDecoder } from "@berth/contracts";

/**
 * The socket between the worker and one sandbox's agent. The worker listens, takes one connection
 * and closes the door: nothing else in the sandbox can ever connect. What arrives is the tenant's
 * word; bytes that aren't frames close the link.
 */
export class AgentLink {
	readonly #path: string;
	readonly #server: Server;
	readonly #bounds: FrameBounds;
	#socket: Socket | undefined;
	#closed = false;
	#onFrame: (frame: Frame) => void = () => undefined;
	#onEnd: (violation?: Error) => void = () => undefined;

	private constructor(path: string, bounds: FrameBounds) {
		this.#path = path;
		this.#bounds = bounds;
		this.#server = createServer((socket) => this.#accept(socket));
	}

	/** Listens on a socket that any user may connect to; its directory decides who can reach it. */
	static async listen(path: string, bounds: FrameBounds): Promise<AgentLink> {
		const link = new AgentLink(path, bounds);
		await new Promise<void>((resolve, reject) => {
			link.#server.once("error", reject);
			link.#server.listen({ path, backlog: 1 }, resolve);
		});
		chmodSync(path, 0o666);
		return link;
	}

	/** @param onEnd is called once, with the violation if there was one */
	listenTo(onFrame: (frame: Frame) => void, onEnd: (violation?: Error) => void): void {
		this.#onFrame = onFrame;
		this.#onEnd = onEnd;
	}

	/** @param onTaken told when the agent has it, or never will */
	send(type: number, head: object, body?: Uint8Array, onTaken?: () => void): void {
		if (this.#socket === undefined) onTaken?.();
		else this.#socket.write(encodeFrame(type, head, body), onTaken && (() => onTaken()));
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#shutDoor();
		this.#socket?.destroy();
	}

	#accept(socket: Socket): void {
		if (this.#socket !== undefined) {
			socket.destroy();
			return;
		}
		this.#shutDoor();
		this.#socket = socket;
		const decoder = new FrameDecoder(this.#bounds);
		let violation: Error | undefined;
		socket.on("data", (chunk: Buffer) => {
			let frames: Frame[];
			try {
				frames = decoder.push(chunk);
			} catch (error) {
				violation = error as Error;
				socket.destroy();
				return;
			}
			for (const frame of frames) this.#onFrame(frame);
		});
		socket.on("error", (error) => {
			violation ??= isReset(error) ? undefined : error;
		});
		socket.on("close", () => this.#onEnd(violation));
	}

	#shutDoor(): void {
		this.#server.close();
		rmSync(this.#path, { force: true });
	}
}

/** The other end was killed: an end like any other. */
function isReset(error: Error): boolean {
	const { code } = error as NodeJS.ErrnoException;
	return code === "ECONNRESET" || code === "EPIPE";
}
