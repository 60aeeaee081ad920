import { createConnection, type Socket } from "node:net";
import {
	BerthError,
	encodeFrame,
	type Frame,
	FrameDecoder,
	LAUNCHER_BOUNDS,
	LAUNCHER_EXIT,
	LAUNCHER_PROBLEM,
	LAUNCHER_VERBS,
	type LauncherProblem,
	type LauncherVerb,
	type SandboxExit,
} from "@berth/contracts";

interface Waiter {
	readonly resolve: (head: unknown) => void;
	readonly reject: (error: Error) => void;
}

/** A request the launcher refused or failed at; its message says at what. */
export class LauncherError extends Error {
	override readonly name = "LauncherError";
}

function diskIsFull(message: string): BerthError {
	return new BerthError("storage_full", `this node has no space left for sandboxes, layers and volumes: ${message}`);
}

/** Requests and answers over the launcher's socket; any number at a time. */
export class LauncherConnection {
	readonly #socket: Socket;
	readonly #waiting = new Map<number, Waiter>();
	#seq = 0;
	#exitListener: (exit: SandboxExit) => void = () => undefined;
	#lostListener: (cause: Error) => void = () => undefined;
	#closing = false;

	private constructor(socket: Socket) {
		this.#socket = socket;
		const decoder = new FrameDecoder(LAUNCHER_BOUNDS);
		let cause = new Error("the launcher closed its socket");
		socket.on("data", (chunk: Buffer) => {
			for (const frame of decoder.push(chunk)) this.#take(frame);
		});
		socket.on("error", (error) => {
			cause = error;
		});
		socket.on("close", () => this.#lost(cause));
	}

	static async open(path: string): Promise<LauncherConnection> {
		const socket = createConnection(path);
		await new Promise<void>((resolve, reject) => {
			socket.once("connect", resolve);
			socket.once("error", reject);
		});
		return new LauncherConnection(socket);
	}

	onExit(listener: (exit: SandboxExit) => void): void {
		this.#exitListener = listener;
	}

	onLost(listener: (cause: Error) => void): void {
		this.#lostListener = listener;
	}

	/** @throws LauncherError when the launcher refuses, Error when it is gone */
	request<Answer>(verb: LauncherVerb, head: object, body?: Uint8Array): Promise<Answer> {
		const seq = ++this.#seq;
		return new Promise<Answer>((resolve, reject) => {
			if (!this.#socket.writable) {
				reject(new LauncherError(`${verb}: the launcher is gone`));
				return;
			}
			this.#waiting.set(seq, { resolve: resolve as (value: unknown) => void, reject });
			this.#socket.write(encodeFrame(LAUNCHER_VERBS[verb], { ...head, seq }, body));
		});
	}

	async close(): Promise<void> {
		this.#closing = true;
		if (this.#socket.closed) return;
		const closed = new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
		this.#socket.destroy();
		await closed;
	}

	#take({ type, head }: Frame): void {
		if (type === LAUNCHER_EXIT) {
			this.#exitListener(head as SandboxExit);
			return;
		}
		const { seq, message, diskFull } = head as LauncherProblem;
		const waiter = this.#waiting.get(seq);
		this.#waiting.delete(seq);
		if (type === LAUNCHER_PROBLEM) waiter?.reject(diskFull === true ? diskIsFull(message) : new LauncherError(message));
		else waiter?.resolve(head);
	}

	#lost(cause: Error): void {
		for (const { reject } of this.#waiting.values()) reject(new LauncherError(`the launcher is gone: ${cause.message}`));
		this.#waiting.clear();
		if (!this.#closing) this.#lostListener(cause);
	}
}
