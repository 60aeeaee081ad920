import { createHash } from "node:crypto";
import { type BodyReference, FIXED_LIMITS, HOOK_LIMITS, type HookEvent, type HookRate, LIMITS, SECOND_MS } from "@berth/contracts";
import { guarded, type Redis, Subscription, sharedNow } from "@berth/redis";
import type { PayloadStore } from "../artifacts/payload-store.js";
import { keys } from "../keys.js";
import { ADMIT, ANNOTATE_EVENT, END_EVENT, FIND_EVENT, LIST_EVENTS, READMIT, RECORD_EVENT } from "./hook-scripts.js";

/** A delivery whose gateway dies is somebody else's again after so long, beyond what its invocation may take, milliseconds. */
const CLAIM_SLACK_MS = 10 * SECOND_MS;
/** Read at a time while a search goes on. */
const PAGE = 100;

/** An event as it is stored: the body in place, or where it is; until when it can be running. */
export interface StoredEvent extends Omit<HookEvent, "revision" | "state" | "outcome"> {
	readonly body?: BodyReference;
	readonly expiresAtMs?: number;
}

/** The answer that duplicates get. */
export interface FirstAnswer {
	readonly status: number;
	readonly contentType?: string;
	/** Absent: it was too large to be kept, or there was none. */
	readonly body?: BodyReference;
}

/** What a delivery finds that is about to be run. */
export type Claim =
	| { readonly kind: "begun" }
	/** The hook was removed. */
	| { readonly kind: "gone" }
	| Repeated;

/** What was let in already, as that event. */
export type Repeated =
	| { readonly kind: "running"; readonly event: string }
	| { readonly kind: "done"; readonly event: string; readonly answer: FirstAnswer };

/** What a hook's rate says of a delivery. */
export type Admission = { readonly kind: "admitted" } | { readonly kind: "limited"; readonly waitMs: number } | Repeated;

/** The deliveries of hooks, bounded for each, in the durable Redis; and which deliveries were let in already. */
export class HookLog {
	readonly #redis: Redis;
	readonly #retentionMs: number;
	readonly #bodies: PayloadStore;
	readonly #listeners = new Set<(hook: string | undefined) => void>();

	constructor(redis: Redis, subscriber: Redis, bodies: PayloadStore, retentionMs: number) {
		this.#redis = redis;
		this.#retentionMs = retentionMs;
		this.#bodies = bodies;
		new Subscription(subscriber, [keys.hookEvents], { onMessage: (id) => this.#tell(id), onResumed: () => this.#tell(undefined) });
	}

	/** Counts a delivery of a hook with a rate, unless it was let in already. @param identities what it has in common with repetitions of it */
	async admit(id: string, { limit, periodMs }: HookRate, identities: readonly string[]): Promise<Admission> {
		const [word, ...rest] = (await guarded(this.#redis, "counting deliveries", () =>
			ADMIT.run(this.#redis, [keys.hookRate(id), ...claimsOf(id, identities)], [limit, periodMs]),
		)) as [Admission["kind"], ...string[]];
		if (word === "limited") return { kind: "limited", waitMs: Number(rest[0]) };
		return repeatedIn(word, rest) ?? { kind: "admitted" };
	}

	/** One that was counted wasn't run after all. */
	async readmit(id: string): Promise<void> {
		await guarded(this.#redis, "counting deliveries", () => READMIT.run(this.#redis, [keys.hookRate(id)], []));
	}

	/**
	 * Records that a delivery is about to be run, unless it was let in already, in one step.
	 * @param identities what it has in common with repetitions of it
	 * @param timeoutMs its invocation's
	 */
	async begin(id: string, event: StoredEvent, identities: readonly string[], timeoutMs: number): Promise<Claim> {
		const claimMs = FIXED_LIMITS.startMs + timeoutMs + CLAIM_SLACK_MS;
		return await this.#record(id, { ...event, expiresAtMs: sharedNow() + claimMs }, identities, claimMs, "runs", false);
	}

	/** Records a delivery that isn't run. */
	async note(id: string, event: StoredEvent): Promise<void> {
		await this.#record(id, event, [], LIMITS.timeoutMs.min, "idle", true);
	}

	/** Records how a delivery ended that was begun. @param answer for its duplicates; none: the next one is run */
	async end(id: string, event: StoredEvent, identities: readonly string[], answer?: FirstAnswer): Promise<void> {
		await guarded(this.#redis, "recording a delivery", () =>
			END_EVENT.run(
				this.#redis,
				[...keysOf(id), ...claimsOf(id, identities)],
				[...argumentsOf(event), answer === undefined ? "" : JSON.stringify(answer), HOOK_LIMITS.rememberedMs],
			),
		);
	}

	/** Adds to what is on record of an event; that is no news of its hook. */
	async annotate(id: string, event: StoredEvent): Promise<void> {
		await guarded(this.#redis, "recording a delivery", () =>
			ANNOTATE_EVENT.run(this.#redis, [keys.hookLog(id)], [event.id, JSON.stringify(event)]),
		);
	}

	async find(id: string, event: string): Promise<{ readonly revision: number; readonly event: StoredEvent } | undefined> {
		const [revision, json] = (await guarded(this.#redis, "reading an event", () =>
			FIND_EVENT.run(this.#redis, keysOf(id).slice(1, 4), [event]),
		)) as [string?, string?];
		return json === undefined ? undefined : { revision: Number(revision), event: JSON.parse(json) as StoredEvent };
	}

	/** Newest first, all before a revision. */
	async *newest(id: string, before: number | undefined): AsyncGenerator<{ readonly revision: number; readonly event: StoredEvent }> {
		for (let bound: number | string = before ?? "+inf"; ; ) {
			const page = await this.#page(id, bound, "newest");
			yield* page;
			const last = page.at(-1);
			if (last === undefined || page.length < PAGE) return;
			bound = last.revision;
		}
	}

	/** Oldest first, those after a revision. @param after none: those that are yet to come */
	async after(id: string, after: number): Promise<readonly { readonly revision: number; readonly event: StoredEvent }[]> {
		return await this.#page(id, after, "oldest");
	}

	/** The revision of the newest event, also when that is gone; 0: there was none. */
	async revision(id: string): Promise<number> {
		return Number((await guarded(this.#redis, "reading a hook's log", () => this.#redis.hget(keys.hook(id), "revision"))) ?? 0);
	}

	/** Told of news, of a hook or perhaps of any, until what it gives is called. */
	listen(listener: (hook: string | undefined) => void): () => void {
		this.#listeners.add(listener);
		return () => void this.#listeners.delete(listener);
	}

	#tell(id: string | undefined): void {
		for (const listener of this.#listeners) listener(id);
	}

	async #page(id: string, bound: number | string, order: "newest" | "oldest") {
		const flat = (await guarded(this.#redis, "reading a hook's log", () =>
			LIST_EVENTS.run(this.#redis, keysOf(id).slice(1, 4), [bound, PAGE, order]),
		)) as (number | string)[];
		return Array.from({ length: flat.length / 2 }, (_, at) => ({
			revision: Number(flat[2 * at]),
			event: JSON.parse(flat[2 * at + 1] as string) as StoredEvent,
		}));
	}

	async #record(
		id: string,
		event: StoredEvent,
		identities: readonly string[],
		claimMs: number,
		order: "runs" | "idle",
		over: boolean,
	): Promise<Claim> {
		const [word, ...rest] = (await guarded(this.#redis, "recording a delivery", () =>
			RECORD_EVENT.run(
				this.#redis,
				[...keysOf(id), ...claimsOf(id, identities)],
				[...argumentsOf(event), Date.parse(event.at), this.#retentionMs, claimMs, order, over ? "1" : "0"],
			),
		)) as [Claim["kind"], ...string[]];
		const repeated = repeatedIn(word, rest);
		if (repeated !== undefined) return repeated;
		if (word === "begun") for (const body of rest) await this.#bodies.remove(body);
		return word === "begun" ? { kind: "begun" } : { kind: "gone" };
	}
}

function keysOf(id: string): readonly string[] {
	return [keys.hook(id), keys.hookLog(id), keys.hookRuns(id), keys.hookIdle(id), keys.hookEvents];
}

/** What a script says of one that was let in already. */
function repeatedIn(word: string, [first = "", answer = ""]: readonly string[]): Repeated | undefined {
	if (word === "done") return { kind: "done", event: first, answer: JSON.parse(answer) as FirstAnswer };
	return word === "running" ? { kind: "running", event: first } : undefined;
}

function claimsOf(id: string, identities: readonly string[]): readonly string[] {
	return identities.map((identity) => keys.hookClaim(id, createHash("sha256").update(identity).digest("base64url")));
}

/** Event, JSON, bytes, key of the body. */
function argumentsOf(event: StoredEvent): readonly [string, string, number, string] {
	const json = JSON.stringify(event);
	const { body } = event;
	const stored = body !== undefined && "payload" in body ? body : undefined;
	return [event.id, json, Buffer.byteLength(json) + (stored?.sizeBytes ?? 0), stored?.payload ?? ""];
}
