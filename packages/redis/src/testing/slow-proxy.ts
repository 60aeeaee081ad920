import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Transform } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";

/** A port of this machine that leads to another one, or to a socket, by a way that can be made long, or on which nothing comes back. */
export class SlowProxy implements AsyncDisposable {
	readonly port: number;
	/** How long everything takes each way, milliseconds. */
	delayMs = 0;
	#heldBack: PromiseWithResolvers<void> | undefined;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	private constructor(server: Server) {
		this.#server = server;
		this.port = (server.address() as AddressInfo).port;
	}

	/** @param to a port of this machine, or a socket's path */
	static async before(to: number | string): Promise<SlowProxy> {
		const server = createServer();
		await once(server.listen(0, "127.0.0.1"), "listening");
		const proxy = new SlowProxy(server);
		server.on("connection", (near) => proxy.#join(near, typeof to === "number" ? connect(to, "127.0.0.1") : connect(to)));
		return proxy;
	}

	/** Ends all connections that there are, with what is on its way. */
	cut(): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	/** What is answered from now on doesn't arrive before `passAnswers`. */
	holdAnswers(): void {
		this.#heldBack ??= Promise.withResolvers();
	}

	passAnswers(): void {
		this.#heldBack?.resolve();
		this.#heldBack = undefined;
	}

	#join(near: Socket, far: Socket): void {
		for (const [from, to] of [
			[near, far],
			[far, near],
		] as const) {
			this.#sockets.add(from);
			from.setNoDelay(true);
			// An end that fails is an end that closes.
			from.on("error", () => undefined);
			from.once("close", () => {
				this.#sockets.delete(from);
				to.destroy();
			});
			from.pipe(this.#way(from === far)).pipe(to);
		}
	}

	/** What goes in is passed on when it is due, and never before what went in earlier. */
	#way(isBack: boolean): Transform {
		const proxy = this;
		let before: Promise<unknown> = Promise.resolve();
		return new Transform({
			transform(chunk: Buffer, _encoding, done) {
				const due = proxy.delayMs > 0 ? pause(proxy.delayMs) : undefined;
				const held = isBack ? proxy.#heldBack?.promise : undefined;
				before = Promise.all([before, due, held]).then(() => this.push(chunk));
				done();
			},
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.cut();
		await once(this.#server.close(), "close");
	}
}
