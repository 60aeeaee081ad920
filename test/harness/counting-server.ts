import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A server on loopback that counts what it was asked for, may want a login, and may be made to answer something else. */
export abstract class CountingServer implements AsyncDisposable {
	readonly #server: Server;
	/** Methods and paths, in the order in which they were asked for. */
	readonly asked: string[] = [];
	/** The `Authorization` that it wants, if any; and those that came with requests. */
	wants: string | undefined;
	readonly authorizations: (string | undefined)[] = [];
	/** What answers in its place, for requests that it returns true for. */
	instead: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;

	protected constructor() {
		this.#server = createServer((request, response) => this.#serve(request, response));
	}

	protected async listen(): Promise<this> {
		await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
		return this;
	}

	get origin(): string {
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	protected abstract answer(path: string, response: ServerResponse): void;

	#serve(request: IncomingMessage, response: ServerResponse): void {
		const path = request.url ?? "/";
		this.asked.push(`${request.method} ${path}`);
		this.authorizations.push(request.headers.authorization);
		if (this.instead(request, response)) return;
		if (this.wants === undefined || request.headers.authorization === this.wants) this.answer(path, response);
		else response.writeHead(401, { "content-type": "application/json" }).end('{"error":"who are you?"}');
	}
}
