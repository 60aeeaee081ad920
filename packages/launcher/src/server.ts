import { chmodSync, chownSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import {
	encodeFrame,
	type Frame,
	FrameDecoder,
	LAUNCHER_BOUNDS,
	LAUNCHER_EXIT,
	LAUNCHER_PROBLEM,
	type LauncherProblem,
	type SandboxExit,
} from "@berth/contracts";

type Fields = Readonly<Record<string, unknown>>;

/** What one connection is answered, and what it has under way. */
export interface Conversation {
	/** @throws Error for what isn't done; its message is the answer */
	perform(verb: number, head: Fields, body: Uint8Array): Promise<object>;
	/** Whoever asked is gone. */
	ended(): void;
}

/** The launcher's socket: only the service user may connect; every request is one of the verbs. */
export class LauncherServer {
	readonly #server: Server;
	readonly #connections = new Set<Socket>();

	constructor(open: () => Conversation) {
		this.#server = createServer((socket) => this.#serve(socket, open()));
	}

	async listen(path: string, serviceUid: number): Promise<void> {
		rmSync(path, { force: true });
		await new Promise<void>((resolve, reject) => {
			this.#server.once("error", reject);
			this.#server.listen(path, resolve);
		});
		chownSync(path, serviceUid, serviceUid);
		chmodSync(path, 0o600);
	}

	/** Tells every connection that a sandbox ended. */
	announce(exit: SandboxExit): void {
		const frame = encodeFrame(LAUNCHER_EXIT, exit);
		for (const socket of this.#connections) socket.write(frame);
	}

	async close(): Promise<void> {
		const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
		for (const socket of this.#connections) socket.destroy();
		await closed;
	}

	#serve(socket: Socket, conversation: Conversation): void {
		this.#connections.add(socket);
		const decoder = new FrameDecoder(LAUNCHER_BOUNDS);
		socket.on("data", (chunk: Buffer) => {
			try {
				for (const frame of decoder.push(chunk)) void this.#answer(socket, frame, conversation);
			} catch (error) {
				socket.destroy(error as Error);
			}
		});
		socket.on("error", () => socket.destroy());
		socket.on("close", () => {
			this.#connections.delete(socket);
			conversation.ended();
		});
	}

	async #answer(socket: Socket, { type, head, body }: Frame, conversation: Conversation): Promise<void> {
		const fields = (typeof head === "object" && head !== null ? head : {}) as Fields;
		const seq = typeof fields["seq"] === "number" ? fields["seq"] : 0;
		try {
			const result = await conversation.perform(type, fields, body);
			if (socket.writable) socket.write(encodeFrame(type, { ...result, seq }));
		} catch (error) {
			if (socket.writable) socket.write(encodeFrame(LAUNCHER_PROBLEM, problemOf(seq, error)));
		}
	}
}

/** A disk that is full is told apart: waiting helps, and nothing is wrong with what was asked for. */
function problemOf(seq: number, error: unknown): LauncherProblem {
	const { message, code } = error as NodeJS.ErrnoException;
	return { seq, message, ...(code === "ENOSPC" || code === "EDQUOT" ? { diskFull: true } : {}) };
}
