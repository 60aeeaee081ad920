import { once } from "node:events";
import type { Server } from "node:http";
import { Server as TcpServer } from "node:net";

/** What takes a server's connections: itself, and others beside it. */
export class Listeners {
	readonly #server: Server;
	readonly #beside: TcpServer[] = [];

	constructor(server: Server) {
		this.#server = server;
	}

	/** As GatewayServer has it. */
	async listen([first, ...more]: readonly number[]): Promise<void> {
		await once(this.#server.listen({ fd: first }), "listening");
		for (const fd of more) {
			// As a server of node:http has it.
			const beside = new TcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#server.emit("connection", socket));
			this.#beside.push(beside);
			await once(beside.listen({ fd }), "listening");
		}
	}

	/** Takes nothing more, and closes connections that wait for their next request; resolves when there is none. */
	async close(): Promise<void> {
		await this.#closed((each) => each.close.bind(each));
	}

	/** Takes nothing more; resolves when there is no connection. That of node:http would close, at once, those that are kept. */
	async stop(): Promise<void> {
		await this.#closed((each) => TcpServer.prototype.close.bind(each));
	}

	async #closed(closeOf: (each: TcpServer) => TcpServer["close"]): Promise<void> {
		const all = [this.#server, ...this.#beside];
		await Promise.all(all.map((each) => new Promise<void>((resolve) => closeOf(each)(() => resolve()))));
	}
}
