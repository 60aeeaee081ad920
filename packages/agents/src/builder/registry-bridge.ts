import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { FetchReply, PackageRegistry, ReadReply } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";

/** What a registry that can't be reached is answered with: said of the registry, not of a package. */
const FROM_TROUBLE = 500;
/** Fetches at the same time: fewer than questions may be open. */
const AT_ONCE = 16;
const MOST_MISSING = 100;

/** A page that is changed is held whole. */
const PAGE_BYTES = 64 * 1024 * 1024;

/** A registry whose pages aren't the bridge's as they are. */
export interface Translation {
	/** Why nothing is asked for. */
	refusal(host: string, path: string): string | undefined;
	isPage(contentType: string): boolean;
	page(path: string, contentType: string, text: string): string;
}

/**
 * The package registries on the sandbox's loopback, each below its host's name: each request is asked of the worker, the
 * only way out.
 */
export class RegistryBridge implements AsyncDisposable {
	readonly #server: Server;
	readonly #ask: Ask;
	readonly #registries: readonly PackageRegistry[];
	readonly #translation: Translation | undefined;
	readonly #waiting: (() => void)[] = [];
	readonly #underWay = new Set<string>();
	#running = 0;
	/** Why the registry gave something up that wasn't simply missing: the first of it. */
	trouble: string | undefined;
	/** The host of one that wants another login than it has got, if any. */
	denied: string | undefined;
	/** Paths that a registry hasn't, the first of them. */
	readonly missing = new Set<string>();

	private constructor(registries: readonly PackageRegistry[], ask: Ask, translation: Translation | undefined) {
		this.#translation = translation;
		this.#registries = registries;
		this.#ask = ask;
		this.#server = createServer((request, response) => void this.#serve(request, response));
	}

	/** @param registries the default one first */
	static async open(registries: readonly PackageRegistry[], ask: Ask, translation?: Translation): Promise<RegistryBridge> {
		const bridge = new RegistryBridge(registries, ask, translation);
		await new Promise<void>((resolve) => bridge.#server.listen(0, "127.0.0.1", resolve));
		return bridge;
	}

	get origin(): string {
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	/** URLs in place of the registries': of the default one, and of each scope's. */
	get urls(): { readonly registry: string; readonly scopes: Readonly<Record<string, string>> } {
		const urls = this.#registries.map(({ url, scopes }) => {
			const { host, pathname } = new URL(url);
			return { here: `${this.origin}/${host}${pathname}`, scopes };
		});
		const scopes = urls.flatMap(({ here, scopes: own }) => own.map((scope) => [scope, here]));
		return { registry: urls[0]?.here ?? this.origin, scopes: Object.fromEntries(scopes) };
	}

	/** What a tool says of the bridge, as of the registries: their files may be at another host, always over HTTPS. */
	named(text: string): string {
		return this.#registries
			.map(({ url }) => new URL(url))
			.reduce((named, { host, origin }) => named.replaceAll(`${this.origin}/${host}/`, `${origin}/`), text)
			.replaceAll(`${this.origin}/`, "https://");
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
		// pip writes the colon before a port as %3A.
		const [, host, path = "/"] = /^\/([^/]+)(\/.*)?$/.exec((request.url ?? "/").replace(/%3a/i, ":")) ?? [];
		if (host === undefined) {
			response.writeHead(404).end();
			return;
		}
		await this.#turn();
		try {
			this.#underWay.add(path);
			await this.#forward(host, path, response);
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

	async #forward(host: string, path: string, response: ServerResponse): Promise<void> {
		const refusal = this.#translation?.refusal(host, path);
		if (refusal !== undefined) throw new Error(refusal);
		const { head, body } = await this.#ask({ kind: "fetch", host, path });
		const { status, contentType, reason, handle } = head as FetchReply;
		if (status >= FROM_TROUBLE) this.trouble ??= `${path}: ${reason ?? `it answered ${status}`}`;
		if (status === 401 || status === 403) this.denied ??= host;
		if (status === 404 && this.missing.size < MOST_MISSING) this.missing.add(path);
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
