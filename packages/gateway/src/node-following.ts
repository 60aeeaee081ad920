import { BerthError, type WatchFollowing, type WatchRefused } from "@berth/contracts";
import type { NodeAnswer, NodeInfo, NodeQuestion } from "@berth/queue";
import { askNode } from "./ask-node.js";
import type { EventStream } from "./event-stream.js";
import type { Services } from "./services.js";

/** A node answers who follows within 4 s, or says nothing: it is asked again then, milliseconds. */
export const FOLLOW_MS = 10_000;
/** Nodes come and go: how often who follows looks, and how long one that didn't answer is left alone, milliseconds. */
const LOOK_MS = 1000;

export interface NodeFollowingOptions {
	readonly stream: EventStream;
	readonly services: Services;
	/** What each node is asked, again and again. @param ends that it is for the last time */
	readonly question: (ends: boolean) => NodeQuestion;
	/** Says what it answered; resolves when that was taken. */
	readonly say: (answer: NodeAnswer) => Promise<void>;
}

/** One who follows what happens on the nodes: each is asked again and again, as fast as what it answers is taken. */
export class NodeFollowing {
	readonly #options: NodeFollowingOptions;
	/** By id and start of the worker. */
	readonly #asked = new Map<string, Promise<void>>();

	constructor(options: NodeFollowingOptions) {
		this.#options = options;
	}

	/** Until nobody reads. */
	async run(): Promise<void> {
		const { stream, services } = this.#options;
		const first = services.nodes.nodes().map((node) => this.#follow(node));
		const saying = this.#sayFollowing(first);
		while (!stream.isGone) {
			for (const node of services.nodes.nodes()) void this.#follow(node);
			await this.#rest();
		}
		await Promise.all([saying, ...this.#asked.values()]);
	}

	/** Says that it follows, once each node has answered for the first time, or hasn't. */
	async #sayFollowing(first: readonly Promise<string | undefined>[]): Promise<void> {
		const nodes = (await Promise.all(first)).filter((node) => node !== undefined);
		if (!this.#options.stream.isGone) await this.#options.stream.send("following", { nodes } satisfies WatchFollowing);
	}

	/** @returns its id once it has answered, and so tells all from then on; undefined when it hasn't */
	#follow(node: NodeInfo): Promise<string | undefined> {
		const key = `${node.id} ${node.incarnation}`;
		if (this.#asked.has(key)) return Promise.resolve(undefined);
		const heard = Promise.withResolvers<string | undefined>();
		const asking = this.#askAgain(node, (answered) => heard.resolve(answered ? node.id : undefined)).finally(() => {
			heard.resolve(undefined);
			this.#asked.delete(key);
		});
		this.#asked.set(key, asking);
		return heard.promise;
	}

	async #askAgain(node: NodeInfo, heard: (answered: boolean) => void): Promise<void> {
		const { stream, services, question, say } = this.#options;
		let isTold = false;
		while (!stream.isGone && this.#isThere(node)) {
			let answer: NodeAnswer;
			try {
				answer = await askNode(node.id, question(false), services, FOLLOW_MS);
			} catch (error) {
				// It is gone, or has too many to tell: it is asked again.
				if (!(error instanceof BerthError)) throw error;
				const { code, message: detail } = error;
				if (code === "too_busy" && !isTold) await stream.send("refused", { node: node.id, code, detail } satisfies WatchRefused);
				isTold ||= code === "too_busy";
				heard(false);
				await this.#rest();
				continue;
			}
			isTold = false;
			await say(answer);
			heard(true);
		}
		// A node that doesn't hear it lets go of who doesn't ask.
		if (this.#isThere(node)) await services.nodes.ask(node.id, question(true)).catch(() => undefined);
	}

	/** A promise of its own each time: one that never settles would keep all that ever waited for it. */
	#rest(): Promise<void> {
		return this.#options.stream.wait(new Promise(() => undefined), LOOK_MS);
	}

	#isThere({ id, incarnation }: NodeInfo): boolean {
		return this.#options.services.nodes.nodes().some((node) => node.id === id && node.incarnation === incarnation);
	}
}
