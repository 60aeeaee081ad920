import { setTimeout as pause } from "node:timers/promises";
import { BerthError, type InvocationRecord, type InvocationStateEvent, type InvocationWaitsEvent } from "@berth/contracts";
import type { Request, Response } from "express";
import { EventStream } from "./event-stream.js";
import { needRecord, noRecord } from "./find-record.js";
import { attemptAnswerOf, attemptsOf, isoOf, summaryOf, turnOf } from "./invocation-answers.js";
import { countFrom } from "./query.js";
import type { Services } from "./services.js";
import { waitsForEach } from "./waiting.js";

/** Who watches looks again although no news came, milliseconds: a reader is shown then that the stream is alive. */
const LOOK_AGAIN_MS = 15_000;
/** The same while Redis is away. */
const AWAY_MS = 1000;
/** More than an invocation can have. */
const MOST_EVENTS = 1_000_000;

/**
 * Waits for the end of an invocation: at most so long, and no longer than its caller does. While Redis is away it goes on waiting.
 * @returns its record then @throws BerthError `unavailable` when Redis is away still when the time is up
 */
export async function untilSettled(
	{ id }: InvocationRecord,
	waitMs: number,
	response: Response,
	{ invocations }: Services,
): Promise<InvocationRecord> {
	const over = new AbortController();
	response.once("close", () => over.abort());
	const late = pause(waitMs, undefined, { signal: over.signal }).catch(() => undefined);
	let isLate = false;
	void late.then(() => {
		isLate = true;
	});
	let news = Promise.withResolvers<void>();
	const unfollow = invocations.follow(id, () => news.resolve());
	try {
		for (;;) {
			await Promise.race([news.promise, late]);
			// What happens from here on is news.
			news = Promise.withResolvers();
			try {
				const record = await invocations.record(id);
				if (record === undefined) throw noRecord(id);
				if (record.state === "settled" || isLate) return record;
			} catch (error) {
				if (isLate || !isAway(error)) throw error;
				const again = news;
				void pause(AWAY_MS, undefined, { signal: over.signal }).then(again.resolve, () => undefined);
			}
		}
	} finally {
		unfollow();
		over.abort();
	}
}

/** `GET /v1/invocations/{id}/events`: what happened and what happens, until it is settled. */
export async function watchInvocation(request: Request, response: Response, services: Services): Promise<void> {
	const known = countFrom(request.headers["last-event-id"], "Last-Event-ID", 0, MOST_EVENTS);
	const { id } = await needRecord(request, services);
	const { invocations } = services;
	let news = Promise.withResolvers<void>();
	const unfollow = invocations.follow(id, () => news.resolve());
	const stream = new EventStream(response, services);
	try {
		let waited: string | undefined;
		for (let last = known ?? -1; !stream.isGone; ) {
			news = Promise.withResolvers();
			let patienceMs = LOOK_AGAIN_MS;
			try {
				const record = await invocations.record(id);
				if (record === undefined) return stream.end("end", { id, state: "forgotten" });
				for (const { at, event, data } of eventsOf(record)) {
					if (at <= last) continue;
					await stream.send(event, data, at);
					last = at;
				}
				const [waitsFor] = await waitsForEach([record], services);
				if (waitsFor !== waited && record.state === "queued")
					await stream.send("waits", (waitsFor === undefined ? {} : { waitsFor }) satisfies InvocationWaitsEvent);
				waited = waitsFor;
				if (record.state === "settled") return stream.end("end", summaryOf(record));
			} catch (error) {
				// Redis is away: the stream goes on when it is back.
				if (!isAway(error)) throw error;
				patienceMs = AWAY_MS;
			}
			await stream.wait(news.promise, patienceMs);
		}
	} finally {
		unfollow();
	}
}

function isAway(error: unknown): boolean {
	return error instanceof BerthError && error.code === "unavailable";
}

interface WatchEvent {
	/** Its id: 0 for what was accepted, then an odd one for each attempt that begins and the even one after it when that ends. */
	readonly at: number;
	readonly event: "state" | "attempt";
	readonly data: object;
}

/** What has happened to it, as far as its record keeps that. */
function* eventsOf(record: InvocationRecord): Generator<WatchEvent> {
	const state = (at: number, data: InvocationStateEvent): WatchEvent => ({ at, event: "state", data });
	yield state(0, { state: "queued", at: isoOf(record.acceptedAtMs) });
	for (const attempt of attemptsOf(record)) {
		const began = isoOf(turnOf(attempt));
		yield state(2 * attempt.attempt - 1, { state: "running", attempt: attempt.attempt, at: began });
		yield { at: 2 * attempt.attempt, event: "attempt", data: attemptAnswerOf(attempt) };
	}
	if (record.state !== "running") return;
	const { attempt = 0, beganAtMs = record.acceptedAtMs } = record.background ?? {};
	yield state(2 * attempt - 1, { state: "running", attempt, at: isoOf(beganAtMs) });
}
