import { setTimeout as wait } from "node:timers/promises";
import {
	BerthError,
	FIXED_LIMITS,
	type InvocationRequest,
	MOST_DEPTH,
	SECOND_MS,
	type Settlement,
	type Trigger,
	type Version,
} from "@berth/contracts";
import { LeftBehindError, sharedNow } from "@berth/queue";
import type { Request, Response } from "express";
import { type Accepting, acceptedOf, type Origin } from "./accepted.js";
import { answer, sayInvoked, writeStreamHead } from "./answers.js";
import { readAsked } from "./asked.js";
import { isKept } from "./idempotency/idempotency.js";
import type { Drained } from "./overload/drain-rate.js";
import { type Owner, Places, type Refusal } from "./overload/places.js";
import { Placement } from "./placement.js";
import { sayTrace } from "./server-timing.js";
import type { Services } from "./services.js";
import { StalledError } from "./stalled.js";
import { AnswerStream } from "./streams/answer-stream.js";
import type { RequestBody } from "./streams/request-body.js";

/** What the way there and back may add to an invocation's start and run before its caller gives up, milliseconds. */
const SLACK_MS = 2000;
/** How often it is looked for a node where there is none, milliseconds. */
const NODE_LOOK_MS = 100;

/** How an invocation ended. */
export interface Ended {
	readonly id: string;
	readonly settlement: Settlement;
}

/** What a hook let in. */
export interface Delivered extends Pick<Accepting, "trigger" | "trace" | "source"> {
	readonly bytes: Buffer;
}

/** Invocations that somebody waits for: accepted while there is a place, run, and answered. */
export class Interactive {
	readonly #services: Services;
	/** By how many others an invocation comes of. Each depth has as many, so that those who wait for others never keep them from one; the last waits for nobody. */
	readonly #places: readonly Places[];
	readonly #placement: Placement;

	constructor(services: Services) {
		this.#services = services;
		const { maxInflight, metrics, nodes } = services;
		this.#placement = new Placement(nodes);
		const refused = (reason: Refusal) => metrics.refused("interactive", reason);
		this.#places = Array.from({ length: MOST_DEPTH + 1 }, () => new Places(maxInflight, refused));
	}

	/** @param trusted whether the caller may be told what went wrong inside */
	async run(request: Request, response: Response, version: Version, trigger: Trigger, trusted: boolean, origin?: Origin): Promise<void> {
		this.#placesAt(origin?.depth).require(this.#ownerOf(version));
		const { rest, bytes, ...read } = await readAsked(request, version, trigger, this.#services);
		try {
			const invocation = await this.#accept(version, { trigger, ...read, ...(origin === undefined ? {} : { origin }) }, bytes);
			// A HEAD's answer has no body that could come in pieces.
			if (request.method === "HEAD" || origin?.whole === true) await this.#answer(response, version, invocation, trusted);
			else await this.#answerInPieces(response, version, invocation, trusted, rest);
		} finally {
			rest?.close();
		}
	}

	/** What a hook let in, answered by its function. @param onSettled told before the answer is given */
	async answerDelivery(
		response: Response,
		version: Version,
		{ bytes, ...delivered }: Delivered,
		onSettled: (ended: Ended) => Promise<void>,
	): Promise<void> {
		const invocation = await this.#accept(version, delivered, bytes);
		await this.#answer(response, version, invocation, false, onSettled);
	}

	async #accept(version: Version, accepting: Accepting, bytes: Buffer): Promise<InvocationRequest> {
		const body = await this.#services.artifacts.payloads.putBody(bytes, "fleeting");
		const invocation = acceptedOf(version, accepting, body, this.#services);
		const { deadlineMs = Number.POSITIVE_INFINITY } = accepting.origin ?? {};
		const latestMs = invocation.acceptedAtMs + FIXED_LIMITS.startMs + invocation.timeoutMs + SLACK_MS;
		return { ...invocation, expiresAtMs: Math.min(latestMs, deadlineMs) };
	}

	async #answerInPieces(
		response: Response,
		version: Version,
		invocation: InvocationRequest,
		trusted: boolean,
		body: RequestBody | undefined,
	): Promise<void> {
		const { streams } = this.#services;
		const asked = { id: invocation.id, version: version.number };
		const stream = new AnswerStream(response, (head) => writeStreamHead(response, asked, head), body);
		try {
			const place = streams.open(invocation.id, stream);
			await this.#answer(response, version, { ...invocation, stream: place }, trusted, undefined, stream);
		} finally {
			streams.close(invocation.id);
		}
	}

	async #answer(
		response: Response,
		version: Version,
		invocation: InvocationRequest,
		trusted: boolean,
		onSettled?: (ended: Ended) => Promise<void>,
		stream?: AnswerStream,
	): Promise<void> {
		const { artifacts } = this.#services;
		sayTrace(response, invocation);
		const { depth = 0 } = invocation;
		let settlement: Settlement | undefined;
		try {
			// A place is for what can run: a body that comes slowly keeps nobody from one.
			const place = this.#placesAt(depth).take(this.#ownerOf(version));
			let leave: (() => void) | undefined;
			try {
				leave = await this.#slotOf(version);
				settlement = await this.#settled(version, invocation, response);
				await onSettled?.({ id: invocation.id, settlement });
				if (stream !== undefined && (stream.begun || settlement.attempt.streamed !== undefined))
					await stream.end(settlement.attempt.outcome);
				else if (stream?.refused !== undefined && settlement.attempt.outcome !== "succeeded") throw stream.refused;
				else await answer(response, { id: invocation.id, version: version.number, settlement, trusted }, artifacts.payloads);
			} finally {
				leave?.();
				place.free(settlement === undefined ? undefined : drainedBy(settlement));
			}
		} finally {
			this.#services.spans.ended(invocation, settlement);
			await artifacts.payloads.removeBody(invocation.body);
		}
	}

	/** One of those that its project may have in flight at once, where that is bounded. @throws BerthError too_busy, unavailable */
	#slotOf({ project }: Version): Promise<() => void> | undefined {
		const { functions, slots, metrics } = this.#services;
		const limit = functions.quotas.of(project).concurrency;
		if (limit === undefined) return undefined;
		return slots.take(project, limit).then((leave) => {
			if (leave !== undefined) return leave;
			metrics.refused("interactive", "quota");
			const detail = `project ${project} has all ${limit} invocations in flight that its quota allows (concurrency); try again`;
			throw new BerthError("too_busy", detail, { extra: { retryAfterMs: SECOND_MS, quota: "concurrency", limit } });
		});
	}

	#ownerOf({ project, function: name, manifest }: Version): Owner {
		return { project, function: name, concurrency: manifest.concurrency * this.#placement.count(manifest) };
	}

	#placesAt(depth = 0): Places {
		return this.#places[depth] as Places;
	}

	/**
	 * Waits for the end of an invocation even when its caller doesn't: the function is told then. One that its node gives back, or leaves behind
	 * at its end, without having begun it is placed again.
	 */
	async #settled(version: Version, invocation: InvocationRequest, response: Response): Promise<Settlement> {
		const { invocations } = this.#services;
		if (hasLeft(response)) throw new BerthError("cancelled", "the caller went away before anything was accepted");
		response.once("close", () => {
			if (!response.writableFinished && !isKept(response))
				invocations.cancel(invocation.id, response.req.socket.errored instanceof StalledError ? "stalled" : "left");
		});
		const place = () => this.#placement.nodeFor(version);
		let node = place();
		for (;;) {
			try {
				return await this.#placement.at(node, () => invocations.run(node, invocation));
			} catch (error) {
				if (error instanceof BerthError && error.code === "in_doubt") sayInvoked(response, invocation);
				// Who has gone meanwhile was told to nobody.
				if (!(error instanceof LeftBehindError) || hasLeft(response)) throw error;
			}
			node = await this.#placeAgain(place, invocation, response);
		}
	}

	/** Where it was there may be no other node, and the next worker of this one is on its way: what was accepted waits for it as long as for a sandbox. */
	async #placeAgain(place: () => string, { expiresAtMs }: InvocationRequest, response: Response): Promise<string> {
		const untilMs = Math.min(sharedNow() + FIXED_LIMITS.startMs, expiresAtMs ?? Number.POSITIVE_INFINITY);
		for (;;) {
			try {
				return place();
			} catch (error) {
				if (sharedNow() >= untilMs || hasLeft(response)) throw error;
			}
			await wait(NODE_LOOK_MS);
		}
	}
}

function hasLeft(response: Response): boolean {
	return response.closed && !isKept(response);
}

/** What an attempt says of how long invocations wait and run. */
function drainedBy({ attempt: { phases } }: Settlement): Drained {
	return { waitedMs: phases.queueMs + phases.startMs, ranMs: phases.initMs + phases.runMs };
}
