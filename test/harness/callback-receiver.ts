import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";

interface Post {
	readonly headers: Record<string, string>;
	readonly body: string;
}

/** Where callbacks are posted to, on loopback: what came is kept. Whoever started it disposes of it. */
export class CallbackReceiver implements AsyncDisposable {
	readonly #server: Server;
	readonly #posts: Post[] = [];
	/** How long an answer takes, milliseconds. */
	delayMs = 0;

	private constructor() {
		this.#server = createServer(async (request, response) => {
			// One whose gateway dies meanwhile ends in the middle.
			const post = await readPost(request).catch(() => undefined);
			if (post === undefined) return;
			this.#posts.push(post);
			setTimeout(() => response.writeHead(204).end(), this.delayMs);
		});
	}

	static async start(): Promise<CallbackReceiver> {
		const receiver = new CallbackReceiver();
		await once(receiver.#server.listen(0, "127.0.0.1"), "listening");
		return receiver;
	}

	/** As `BERTH_CALLBACK_HOSTS` has it. */
	get host(): string {
		return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	get url(): string {
		return `http://${this.host}/settled`;
	}

	/** Ids of the invocations whose settlements were posted, each as often as it was. @throws Error when one isn't signed with this secret */
	told(secret: string): readonly string[] {
		const webhook = new Webhook(secret);
		return this.#posts.map(({ headers, body }) => (webhook.verify(body, headers) as { data: { id: string } }).data.id);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => this.#server.close(resolve));
	}
}

async function readPost(request: IncomingMessage): Promise<Post> {
	return { headers: request.headers as Record<string, string>, body: await text(request) };
}
