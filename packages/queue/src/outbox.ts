import type {
	BodyReference,
	CallbackRecord,
	Follow,
	FollowerRecord,
	HttpRequestHead,
	InvocationRequest,
	TraceContext,
	Trigger,
} from "@berth/contracts";
import { closeRedis, guarded, type LuaScript, type Redis, Subscription } from "@berth/redis";
import { backgroundRecordOf, OUTBOX_NEWS, outboxOf } from "./keys.js";
import { AGAIN, CLAIM, FORGET, NOTE, POSTPONE, SIZE } from "./outbox-scripts.js";

/** What of a settled invocation is to be sent. A field of its record has how far that is. */
export type FollowUpKind = "callback" | "follower";

/** One thing that a courier holds for a while. */
export interface FollowUp {
	readonly kind: FollowUpKind;
	readonly project: string;
	/** The settled invocation's id. */
	readonly id: string;
	/** Fences: whoever took it later has another one. */
	readonly lease: string;
}

/** What follows settlements, on the durable Redis, from the settlement on until it is delivered or given up. Any number of couriers may take of it. */
export class Outbox {
	/** How long a courier has for what it took: then another one may take it. Milliseconds. */
	static readonly leaseMs = 30_000;

	readonly #redis: Redis;
	readonly #owned: readonly Redis[];

	/** @param owned connections for commands and for a subscription, that are closed with it */
	constructor(owned: readonly [Redis, Redis]) {
		this.#redis = owned[0];
		this.#owned = owned;
	}

	/** @param onNews told when there may be something to take, also after it may have been missed */
	listen(onNews: () => void): void {
		new Subscription(this.#owned[1] as Redis, [OUTBOX_NEWS], { onMessage: onNews, onResumed: onNews });
	}

	/**
	 * Takes what is due of a kind: of one project at most as much as is left for others then, with what it has already.
	 * @param places for as many
	 * @param held how many places each project has
	 * @returns it, and when the next becomes due, milliseconds; absent when nothing does
	 */
	async claim(
		kind: FollowUpKind,
		places: number,
		held: ReadonlyMap<string, number> = new Map(),
	): Promise<{ readonly taken: readonly FollowUp[]; readonly nextMs?: number }> {
		const args = [places, Outbox.leaseMs, ...[...held].flat()];
		const [taken, next] = (await this.#do("taking what follows settlements", () => CLAIM.run(this.#redis, [outboxOf(kind)], args))) as [
			[string, string, string][],
			string,
		];
		return {
			taken: taken.map(([project, id, lease]) => ({ kind, project, id, lease })),
			...(next === "" ? {} : { nextMs: Number(next) }),
		};
	}

	/**
	 * Writes down how far it is. @param next milliseconds until it is due again; `held`: the lease goes on; absent: it is over
	 * @returns whether the lease was still good; if not, nothing is written
	 */
	async note(one: FollowUp, state: CallbackRecord | FollowerRecord, next?: number | "held"): Promise<boolean> {
		return await this.#run("noting what followed", NOTE, one, one.lease, one.kind, JSON.stringify(state), next ?? "");
	}

	/** Puts it off, as if it hadn't been taken. */
	async postpone(one: FollowUp, byMs: number): Promise<void> {
		await this.#run("putting off what follows", POSTPONE, one, one.lease, byMs);
	}

	/** Takes it out: there is nothing left to send. */
	async forget(one: FollowUp): Promise<void> {
		await this.#run("ending what follows", FORGET, one, one.lease);
	}

	/** Has a callback sent as soon as possible, also one that is over. @returns whether its invocation is settled */
	async again(of: Pick<FollowUp, "project" | "id">): Promise<boolean> {
		return await this.#run("sending a callback again", AGAIN, { ...of, kind: "callback" }, OUTBOX_NEWS);
	}

	/** What a settlement's follower is made of; undefined when the record is gone. */
	async materialOf(id: string): Promise<FollowerMaterial | undefined> {
		const text = await this.#do("reading what follows", () => this.#redis.hget(backgroundRecordOf(id), "material"));
		return text === null ? undefined : (JSON.parse(text) as FollowerMaterial);
	}

	/** The trace of an invocation that has a callback; undefined when it has none, or the record is gone. */
	async traceOf(id: string): Promise<TraceContext | undefined> {
		const text = await this.#do("reading what follows", () => this.#redis.hget(backgroundRecordOf(id), "trace"));
		return text === null ? undefined : (JSON.parse(text) as TraceContext);
	}

	/** How many wait or are held. */
	async size(): Promise<number> {
		const kinds = [outboxOf("callback"), outboxOf("follower")];
		return (await this.#do("counting what follows", () => SIZE.run(this.#redis, kinds, []))) as number;
	}

	async close(): Promise<void> {
		await Promise.all(this.#owned.map(closeRedis));
	}

	async #run(
		what: string,
		script: LuaScript,
		{ kind, project, id }: Omit<FollowUp, "lease">,
		...args: (string | number)[]
	): Promise<boolean> {
		const keys = [outboxOf(kind), outboxOf(kind, project), backgroundRecordOf(id)];
		return (await this.#do(what, () => script.run(this.#redis, keys, [project, id, ...args]))) === 1;
	}

	#do<T>(what: string, commands: () => Promise<T>): Promise<T> {
		return guarded(this.#redis, what, commands);
	}
}

/** What a follower's payload is made of beside the settlement. */
export interface FollowerMaterial {
	readonly follow: Follow;
	readonly contentType?: string;
	/** The method and URL of an HTTP request. */
	readonly http?: Pick<HttpRequestHead, "method" | "url">;
	readonly body: BodyReference;
	readonly depth: number;
	/** What follows is of the same trace. */
	readonly trace?: TraceContext;
}

/** Fields of a record, in pairs, of which each that is to follow the settlement has one from the beginning. */
export function followUpsOf({ callback, follow, trigger, body, depth = 0, trace }: InvocationRequest): readonly string[] {
	const waiting = { state: "waiting", attempts: 0 } as const;
	const posted =
		callback === undefined
			? []
			: [
					"callback",
					JSON.stringify({ url: callback, ...waiting } satisfies CallbackRecord),
					...(trace === undefined ? [] : ["trace", JSON.stringify(trace)]),
				];
	if (follow === undefined) return posted;
	const material = { follow, ...headOf(trigger), body, depth, ...(trace === undefined ? {} : { trace }) } satisfies FollowerMaterial;
	return [...posted, "follower", JSON.stringify(waiting satisfies FollowerRecord), "material", JSON.stringify(material)];
}

function headOf(trigger: Trigger): Pick<FollowerMaterial, "contentType" | "http"> {
	if (trigger.kind === "event") return trigger.contentType === undefined ? {} : { contentType: trigger.contentType };
	const { method, url, headers } = trigger.request;
	const contentType = headers.find(([name]) => name === "content-type")?.[1];
	return { http: { method, url }, ...(contentType === undefined ? {} : { contentType }) };
}
