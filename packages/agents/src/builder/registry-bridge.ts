import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { FetchReply, ReadReply } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";

/** What a registry that can't be reached is answered with: said of the registry, not of a package. */
const FROM_TROUBLE = 500;
/** Fetches at the same time: fewer than questions may be open. */
const AT_ONCE = 16;

/** The package registry on the sandbox's loopback: each request is asked of the worker, the only way out. */
export class RegistryBridge implements AsyncDisposable {
	readonly #server: Server;
	readonly #ask: Ask;
	readonly #waiting: (() => void)[] = [];
	readonly #underWay = new Set<string>();
	#running = 0;
	/** Why the registry gave something up that wasn't simply missing: the first of it. */
	trouble: string | undefined;

	private constructor(ask: Ask) {
		this.#ask = ask;
		this.#server = createServer((request, response) => void this.#serve(request, response));
	}

	static async open(ask: Ask): Promise<RegistryBridge> {
		const bridge = new RegistryBridge(ask);
		await new Promise<void>((resolve) => bridge.#server.listen(0, "127.0.0.1", resolve));
		return bridge;
	}

	/** Its URL in place of the registry's, with the same path. */
	urlFor(registry: string): string {
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${new URL(registry).pathname}`;
	}

	/** Paths that are asked for and not answered in full, the first few. */
	get underWay(): readonly string[] {
		return [...this.#underWay].slice(0, 3);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
		if (request.method !== "GET") {
			response.writeHead(405).end();
			return;
		}
		const path = request.url ?? "/";
		await this.#turn();
		try {
			this.#underWay.add(path);
			await this.#forward(path, response);
		} catch (error) {
			this.trouble ??= (error as Error).message;
			response.destroy();
		} finally {
			this.#underWay.delete(path);
			this.#running--;
			this.#waiting.shift()?.();
		}
	}

	async #turn(): Promise<void> {
		if (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
		this.#running++;
	}

	async #forward(path: string, response: ServerResponse): Promise<void> {
		const { head, body } = await this.#ask({ kind: "fetch", path });
		const { status, contentType, reason, handle } = head as FetchReply;
		if (status >= FROM_TROUBLE) this.trouble ??= `${path}: ${reason ?? `it answered ${status}`}`;
		response.writeHead(status, contentType === undefined ? {} : { "content-type": contentType });
		response.write(body);
		for (let last = handle === undefined; !last; ) {
			const next = await this.#ask({ kind: "read", handle });
			const reply = next.head as ReadReply;
			if (reply.reason !== undefined) throw new Error(`${path}: ${reply.reason}`);
			if (!response.write(next.body)) await new Promise((resolve) => response.once("drain", resolve).once("close", resolve));
			last = reply.last;
		}
		response.end();
	}
}
