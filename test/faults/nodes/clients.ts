import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@berth/client";
import type { Stack } from "../../harness/stack.js";
import { recordOf, told } from "../delivery/asking.js";
import type { Asked, Recorded, Told } from "../delivery/history.js";
import { laneOf, type Step } from "./steps.js";

const SLEEP_MS = 300;
/** How far ahead is what is to run later. */
const LATER_MS = 1500;
/** How long a client waits for an answer at most: longer than a function may take with all that comes before. */
const PATIENCE_MS = 40_000;
/** How often a request with a key is made again that had no answer. */
const REPEATS = 8;
const RETRY_MS = 500;
/** How many a burst is. */
const BURST = 16;

/** What is to be invoked, at which gateways. */
export interface Target {
	readonly gateways: readonly Stack[];
	readonly name: string;
}

/** What clients saw: what they asked for, and the records that they read. Several of them share one. */
export interface Seen {
	readonly asked: Asked[];
	readonly records: Recorded[];
}

/** One client among several. It notes what it is told, and nothing that it can't know. */
export class LoadClient {
	readonly #target: Target;
	readonly #name: string;
	readonly #seen: Seen;
	#tokens = 0;

	/** @param name tells its tokens from others' */
	constructor(target: Target, name: string, seen: Seen) {
		this.#target = target;
		this.#name = name;
		this.#seen = seen;
	}

	/** Does its steps one after another, and again from the first, until it is told to stop. */
	async run(steps: readonly Step[], isOver: () => boolean): Promise<void> {
		for (let n = 0; !isOver(); n++) {
			const step = steps[n % steps.length] as Step;
			const told = await Promise.all(Array.from({ length: step.what === "burst" ? BURST : 1 }, () => this.#do(step)));
			// Nobody asks a gateway again at once that has just refused or gone.
			if (told.some(({ kind }) => kind === "nothing" || kind === "refused")) await pause(RETRY_MS);
			await pause(step.waitMs);
		}
	}

	async #do(step: Step): Promise<Told> {
		const token = `${this.#name}-${this.#tokens++}`;
		const lane = laneOf(step);
		const options = step.what === "later" ? { runAt: new Date(Date.now() + LATER_MS) } : {};
		const key = step.what === "invoke-with-key" ? { idempotencyKey: token } : {};
		const ask = (): Promise<Told> => {
			const { client } = this.#gateway(step);
			const task = { token, deed: step.deed, ms: SLEEP_MS };
			return told(client, this.#target.name, lane, task, { ...options, ...key, signal: AbortSignal.timeout(PATIENCE_MS) });
		};
		const fromMs = Date.now();
		let answer = await ask();
		for (let n = 0; step.what === "invoke-with-key" && ["nothing", "refused"].includes(answer.kind) && n < REPEATS; n++) {
			await pause(RETRY_MS);
			answer = await ask();
		}
		const notBefore = options.runAt === undefined ? {} : { notBeforeMs: options.runAt.getTime() };
		// What nobody knows of a first request nobody knows of its repetition's refusal either.
		const hasKey = step.what === "invoke-with-key";
		const isUnknown = step.what === "invoke-with-key" && answer.kind === "refused";
		const waited = { at: `gateway-${step.gateway}`, fromMs, untilMs: Date.now() };
		const asked: Asked = { token, lane, deed: step.deed, told: isUnknown ? { kind: "nothing" } : answer, ...notBefore, waited, hasKey };
		const at = this.#seen.asked.push(asked) - 1;
		if (answer.kind === "accepted" && step.what === "cancel") this.#seen.asked[at] = await this.#cancelled(step, asked, answer.id);
		if (answer.kind === "accepted" && step.what === "watch") await this.#read(step, answer.id);
		return answer;
	}

	async #cancelled(step: Step, asked: Asked, id: string): Promise<Asked> {
		await pause(step.waitMs * 10);
		const isCancelled = await this.#try(step, async (client) => (await client.cancel(id)).outcome === "cancelled");
		return isCancelled === true ? { ...asked, cancelledAtMs: Date.now() } : asked;
	}

	async #read(step: Step, id: string): Promise<void> {
		await pause(step.waitMs * 50);
		const record = await this.#try(step, (client) => recordOf(client, id));
		if (record !== undefined) this.#seen.records.push(record);
	}

	/** What came of asking, or undefined where nothing did. */
	async #try<T>(step: Step, ask: (client: Client) => Promise<T>): Promise<T | undefined> {
		return await ask(this.#gateway(step).client).catch(() => undefined);
	}

	#gateway({ gateway }: Step): Stack {
		return this.#target.gateways[gateway] as Stack;
	}
}
