import { once } from "node:events";
import { request as ask, createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { BucketPlace } from "../bucket.js";

/** What is asked of an S3 server, as far as it is told apart here. */
export type S3Request = "put" | "get" | "head" | "remove" | "list";

/** Stands before an S3 server, and holds what it is asked for as long as a test wants. */
export class S3Gate implements AsyncDisposable {
	readonly #server: Server;
	readonly #place: BucketPlace;
	readonly #held = new Map<S3Request, (() => void)[]>();

	private constructor(place: BucketPlace) {
		this.#place = place;
		this.#server = createServer((request, response) => this.#take(request, response));
	}

	static async before(place: BucketPlace): Promise<S3Gate> {
		const gate = new S3Gate(place);
		await once(gate.#server.listen(0, "127.0.0.1"), "listening");
		return gate;
	}

	get place(): BucketPlace {
		return { ...this.#place, endpoint: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}` };
	}

	/** From now on such requests wait here. */
	hold(kind: S3Request): void {
		this.#held.set(kind, this.#held.get(kind) ?? []);
	}

	/** How many wait. */
	waiting(kind: S3Request): number {
		return this.#held.get(kind)?.length ?? 0;
	}

	/** Those that wait go on, and all that come. */
	letGo(kind: S3Request): void {
		const held = this.#held.get(kind) ?? [];
		this.#held.delete(kind);
		for (const goOn of held) goOn();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	#take(request: IncomingMessage, response: ServerResponse): void {
		const goOn = () => this.#pass(request, response);
		const held = this.#held.get(kindOf(request));
		if (held === undefined) goOn();
		else held.push(goOn);
	}

	/** With the name it was asked by, since that is signed. */
	#pass(request: IncomingMessage, response: ServerResponse): void {
		const { method, url, headers } = request;
		const passed = ask(new URL(url ?? "/", this.#place.endpoint), { method: method ?? "GET", headers }, (answer) => {
			response.writeHead(answer.statusCode ?? 502, answer.headers);
			answer.pipe(response);
		});
		passed.on("error", () => response.destroy());
		request.pipe(passed);
	}
}

function kindOf({ method, url }: IncomingMessage): S3Request {
	if (method === "PUT") return "put";
	if (method === "HEAD") return "head";
	if (method === "DELETE") return "remove";
	return url?.includes("list-type=") ? "list" : "get";
}
