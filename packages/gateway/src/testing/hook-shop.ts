import { type HookEvent, type HookInput, type HookWithSecret, type Settlement, schemeOf } from "@berth/contracts";
import type { Delivery } from "@berth/queue";
import { type OwnStack, startOwnStack } from "./own-stack.js";
import { ended } from "./settlements.js";
import type { StackOptions } from "./stack.js";

/** A function that answers with this. */
export function settled(status: number, text: string): Settlement {
	return ended("succeeded", {}, { body: { text }, response: { status, headers: [["content-type", "application/json"]] } });
}

/** A delivery as the hook's provider makes it. */
export function signed(hook: HookWithSecret, { body = '{"n":1}', id = "d1", event = "push" } = {}) {
	const message = { body: Buffer.from(body), id, event, atMs: Date.now() };
	return { body, headers: Object.fromEntries(schemeOf(hook.scheme).sign(message, hook.secret ?? "", hook.settings)) };
}

/** A gateway with a function `shop` that is reached by hooks, and what comes to it. */
export class HookShop {
	readonly stack: OwnStack;
	/** What reached the function. */
	seen: Delivery[] = [];
	#made = 0;

	private constructor(stack: OwnStack) {
		this.stack = stack;
	}

	static async open(options?: StackOptions): Promise<HookShop> {
		return new HookShop(await startOwnStack({ shop: {} }, options));
	}

	/** Before each test: nothing reached it, and it answers `{"n": …}` with how much did. */
	begin(): void {
		this.seen = [];
		this.stack.onInvocation(async (delivery) => {
			this.seen.push(delivery);
			return settled(200, `{"n":${this.seen.length}}`);
		});
	}

	/** @param path below the function's hooks */
	call<Answer = unknown>(method: string, path: string, body?: object, status?: number): Promise<Answer> {
		return this.stack.call(method, `/v1/functions/shop/hooks${path}`, body, status);
	}

	/** A hook of a name of its own; GitHub's unless it is said otherwise. */
	made(input: Partial<HookInput> = {}): Promise<HookWithSecret> {
		return this.call("POST", "", { scheme: "github", mode: "sync", name: `hook-${this.#made++}`, ...input }, 201);
	}

	async deliver(hook: { readonly path: string }, init: { body?: string; headers?: Record<string, string>; method?: string }) {
		const answer = await fetch(this.stack.url + hook.path, { method: "POST", ...init });
		return { status: answer.status, text: await answer.text(), headers: answer.headers };
	}

	/** What the log has, the newest first. */
	async eventsOf({ name }: HookWithSecret, query = ""): Promise<readonly HookEvent[]> {
		return (await this.call<{ events: HookEvent[] }>("GET", `/${name}/events${query}`)).events;
	}

	close(): Promise<void> {
		return this.stack.close();
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}
}
