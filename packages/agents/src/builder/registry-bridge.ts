import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { BuildQuestion, FetchReply, ReadReply } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";

/** What a registry that can't be reached is answered with: said of the registry, not of a package. */
const FROM_TROUBLE = 500;
/** Fetches at the same time: fewer than questions may be open. */
const AT_ONCE = 16;

/** A page that is changed is held whole. */
const PAGE_BYTES = 64 * 1024 * 1024;

/** A registry whose paths, or whose pages, aren't the bridge's as they are. */
export interface Translation {
	/** What to ask for; a text says why nothing is. */
	questionOf(path: string): Omit<Extract<BuildQuestion, { kind: "fetch" }>, "kind"> | string;
	isPage(contentType: string): boolean;
	page(path: string, contentType: string, text: string): string;
}

/** The package registry on the sandbox's loopback: each request is asked of the worker, the only way out. */
export class RegistryBridge implements AsyncDisposable {
	readonly #server: Server;
	readonly #ask: Ask;
	readonly #translation: Translation | undefined;
	readonly #waiting: (() => void)[] = [];
	readonly #underWay = new Set<string>();
	#running = 0;
	/** Why the registry gave something up that wasn't simply missing: the first of it. */
	trouble: string | undefined;

	private constructor(ask: Ask, translation: Translation | undefined) {
		this.#ask = ask;
		this.#translation = translation;
		this.#server = createServer((request, response) => void this.#serve(request, response));
	}

	static async open(ask: Ask, translation?: Translation): Promise<RegistryBridge> {
		const bridge = new RegistryBridge(ask, translation);
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
		const question = this.#translation?.questionOf(path) ?? { path };
		if (typeof question === "string") throw new Error(question);
		const { head, body } = await this.#ask({ kind: "fetch", ...question });
		const { status, contentType, reason, handle } = head as FetchReply;
		if (status >= FROM_TROUBLE) this.trouble ??= `${path}: ${reason ?? `it answered ${status}`}`;
		response.writeHead(status, contentType === undefined ? {} : { "content-type": contentType });
		if (contentType !== undefined && this.#translation?.isPage(contentType) === true) {
			response.end(this.#translation.page(path, contentType, await this.#textOf(path, body, handle)));
			return;
		}
		response.write(body);
		for await (const bytes of this.#rest(path, handle))
			if (!response.write(bytes)) await new Promise((resolve) => response.once("drain", resolve).once("close", resolve));
		response.end();
	}

	async #textOf(path: string, body: Uint8Array, handle: number | undefined): Promise<string> {
		const parts = [body];
		let bytes = body.byteLength;
		for await (const part of this.#rest(path, handle)) {
			bytes += part.byteLength;
			if (bytes > PAGE_BYTES) throw new Error(`${path}: it is more than ${PAGE_BYTES} bytes`);
			parts.push(part);
		}
		return Buffer.concat(parts).toString();
	}

	async *#rest(path: string, handle: number | undefined): AsyncGenerator<Uint8Array, void, undefined> {
		for (let last = handle === undefined; !last; ) {
			const { head, body } = await this.#ask({ kind: "read", handle });
			const { reason, last: isLast } = head as ReadReply;
			if (reason !== undefined) throw new Error(`${path}: ${reason}`);
			yield body;
			last = isLast;
		}
	}
}
