import { setTimeout as pause } from "node:timers/promises";
import { BerthError, derivedId, type InvocationRecord, type ScheduleRun, SECOND_MS } from "@berth/contracts";
import type { ScheduleClaim, TakenClaims } from "@berth/registry";
import { cancelBackground } from "../cancellation.js";
import type { Services } from "../services.js";
import { fireSchedule } from "./firing.js";
import { jitterOf, planOf } from "./times.js";

/** How often the clock is looked at when nothing is due sooner: a schedule that another gateway made may be. */
const LOOK_MS = SECOND_MS;
/** Schedules that one look takes on, and that are worked at at the same time. */
const BATCH = 128;
const AT_ONCE = 16;
/** The pause between two looks that find something. */
const AGAIN_MS = 10;
/** How long a schedule's claims are one gateway's: then it is taken for dead. It begins nothing in the second half. */
const LEASE_MS = 10 * SECOND_MS;
/** When a firing that waits for the one before is looked at again, and one that has that cancelled. */
const QUEUED_MS = SECOND_MS;
const REPLACING_MS = 250;

/** What is done with a claim: it is over, or it waits. */
type Decision = { readonly run: ScheduleRun; readonly invocation?: string } | { readonly waitMs: number };

/**
 * Fires schedules. Every gateway has one, and they need not know of each other: a time becomes a firing by one script in the
 * durable Redis, and stays claimed there until it is an invocation, whose id comes of schedule and time. So a firing is neither
 * lost nor doubled with a gateway that dies in between.
 */
export class ScheduleDispatcher {
	readonly #services: Services;
	readonly #clock: (() => number) | undefined;
	readonly #stopped = new AbortController();
	#running: Promise<void> | undefined;

	/** @param clock default: the durable Redis's, the same for every gateway */
	constructor(services: Services, clock?: () => number) {
		this.#services = services;
		this.#clock = clock;
	}

	start(): void {
		this.#running ??= this.#run();
	}

	async stop(): Promise<void> {
		this.#stopped.abort();
		await this.#running;
	}

	async #run(): Promise<void> {
		const { signal } = this.#stopped;
		let isAway = false;
		while (!signal.aborted) {
			let waitMs = LOOK_MS;
			try {
				waitMs = Math.min(LOOK_MS, await this.round());
				isAway = false;
			} catch (err) {
				if (!isAway) this.#services.log.warn({ err }, "schedules can't be looked at; they are as soon as that is over");
				isAway = true;
			}
			await pause(waitMs, undefined, { signal }).catch(() => undefined);
		}
	}

	/** Does what is to be done now. @returns how long there is nothing more to do, milliseconds. @throws BerthError unavailable */
	async round(): Promise<number> {
		const { schedules } = this.#services;
		const { nowMs, nextMs, due, open } = await schedules.look(BATCH, this.#clock?.());
		const lookedAt = performance.now();
		const now = () => (this.#clock === undefined ? Math.round(nowMs + performance.now() - lookedAt) : nowMs);
		// Others look at the same: in another order each meets less of what was claimed.
		await this.#each(shuffled(due), (id) => this.#claim(id, now));
		await this.#each([...new Set([...due, ...open])], (id) => this.#work(id, now));
		// What was done has set other times.
		if (due.length + open.length > 0) return AGAIN_MS;
		return nextMs === undefined ? Number.POSITIVE_INFINITY : Math.max(1, nextMs - now());
	}

	/** A schedule that can't be looked after keeps none of the others from it. */
	async #each(ids: readonly string[], act: (id: string) => Promise<void>): Promise<void> {
		const left = [...ids];
		let away: unknown;
		const next = async () => {
			for (let id = left.pop(); id !== undefined && away === undefined; id = left.pop()) {
				try {
					await act(id);
				} catch (err) {
					if (err instanceof BerthError && err.code === "unavailable") away = err;
					else this.#services.log.error({ err, schedule: id }, "a schedule couldn't be looked after");
				}
			}
		};
		await Promise.all(Array.from({ length: AT_ONCE }, next));
		if (away !== undefined) throw away;
	}

	/** Makes what has come due of one schedule firings, which are then invocations to be. */
	async #claim(id: string, now: () => number): Promise<void> {
		const { schedules, metrics } = this.#services;
		const open = await schedules.find(id);
		if (open?.dueMs === undefined) return;
		const { config, dueMs } = open;
		const nowMs = now();
		if (dueMs + jitterOf(config, dueMs) > nowMs) return;
		const at = isoOf(nowMs);
		let plan: ReturnType<typeof planOf>;
		try {
			plan = planOf(config, dueMs, nowMs);
		} catch (error) {
			// Its time zone may be unknown to another version of Node.
			const run: ScheduleRun = { dueAt: isoOf(dueMs), at, result: "failed", kind: "due", reason: (error as Error).message };
			if ((await schedules.claim(open, [], undefined, run, nowMs)) !== undefined) metrics.scheduled("failed");
			return;
		}
		const { fire, missed, nextMs } = plan;
		const claims = fire.map(({ dueMs: ms, kind }): ScheduleClaim => ({ dueMs: ms, invocation: derivedId(`schedule ${id}`, ms), kind }));
		const next = nextMs === undefined ? undefined : { dueMs: nextMs, firesAtMs: nextMs + jitterOf(config, nextMs) };
		const run: ScheduleRun | undefined = missed && {
			dueAt: isoOf(missed.lastMs),
			at,
			result: "missed",
			kind: "missed",
			count: missed.count,
		};
		const dropped = await schedules.claim(open, claims, next, run, nowMs);
		if (dropped === undefined) return;
		if (missed !== undefined) metrics.scheduled("missed", missed.count);
		if (dropped > 0) {
			metrics.scheduled("skipped", dropped);
			const reason = `${dropped} of its firings had no place: as many as can wait do so already`;
			await schedules.note(id, { dueAt: isoOf((claims.at(-1) as ScheduleClaim).dueMs), at, result: "skipped", kind: "due", reason });
		}
	}

	/** Makes invocations of claims, one after another. */
	async #work(id: string, now: () => number): Promise<void> {
		const { schedules, metrics } = this.#services;
		const taken = await schedules.take(id, now(), LEASE_MS);
		if (taken === undefined) return;
		const until = performance.now() + LEASE_MS / 2;
		let last = taken.last;
		let againMs = now();
		for (const [at, claim] of taken.claims.entries()) {
			if (performance.now() > until) break;
			const isNewest = at === taken.claims.length - 1;
			const decision = await this.#decide(taken, claim, last, isNewest, now());
			if ("waitMs" in decision) {
				againMs = now() + decision.waitMs;
				break;
			}
			if (!(await schedules.end(taken, claim, decision.run, decision.invocation))) return;
			last = decision.invocation ?? last;
			metrics.scheduled(decision.run.result);
			if (decision.invocation !== undefined) metrics.fired(now() - claim.dueMs - jitterOf(taken.config, claim.dueMs));
		}
		await schedules.letGo(taken, againMs);
	}

	async #decide(taken: TakenClaims, claim: ScheduleClaim, last: string | undefined, isNewest: boolean, nowMs: number): Promise<Decision> {
		const { dueMs, invocation, kind } = claim;
		const decided = { dueAt: isoOf(dueMs), at: isoOf(nowMs), kind };
		const before = last === undefined || last === invocation ? undefined : await this.#unsettled(last);
		if (before !== undefined) {
			const { overlap } = taken.config;
			if (overlap === "queue") return { waitMs: QUEUED_MS };
			if (overlap === "skip") return { run: { ...decided, result: "skipped", reason: `${before.id}, the one before, isn't over` } };
			if (!isNewest) return { run: { ...decided, result: "skipped", reason: "a later one takes its place" } };
			await cancelBackground(before, this.#services);
			return { waitMs: REPLACING_MS };
		}
		try {
			// It is asked again with the same id when this one rejects.
			await fireSchedule(taken, { id: invocation, acceptedAtMs: nowMs, firing: { dueAt: decided.dueAt, kind } }, this.#services);
		} catch (error) {
			if (!(error instanceof BerthError)) throw error;
			// Its function has enough to do, or Berth has: it waits, as it would in the queue.
			if (error.code === "queue_full" || error.code === "storage_full") return { waitMs: QUEUED_MS };
			if (error.entry.fault === "platform") throw error;
			return { run: { ...decided, result: "failed", reason: `${error.code}: ${error.message}` } };
		}
		return { run: { ...decided, result: "fired", invocation }, invocation };
	}

	/** The invocation, while it isn't over. */
	async #unsettled(id: string): Promise<InvocationRecord | undefined> {
		const record = await this.#services.invocations.record(id);
		return record === undefined || record.state === "settled" ? undefined : record;
	}
}

function isoOf(ms: number): string {
	return new Date(ms).toISOString();
}

function shuffled<Item>(items: readonly Item[]): Item[] {
	return items
		.map((item) => ({ item, at: Math.random() }))
		.sort((a, b) => a.at - b.at)
		.map(({ item }) => item);
}
