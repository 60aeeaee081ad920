import { BerthError, ERRORS, HOOK_LIMITS, type HookResult, type Version } from "@berth/contracts";
import type { FirstAnswer, OpenHook, StoredEvent } from "@berth/registry";
import type { Response } from "express";
import { writeAnswerHeaders } from "../answer-headers.js";
import { failureCodeOf } from "../answers.js";
import { enqueue } from "../background/enqueue.js";
import type { Ended, Interactive } from "../interactive.js";
import type { Services } from "../services.js";
import type { Receipt } from "./receipt.js";

/** What is about to be run. */
export interface Run {
	readonly found: OpenHook;
	readonly receipt: Receipt;
	readonly event: StoredEvent;
	readonly body: Buffer;
	/** What tells repetitions of it. */
	readonly identities: readonly string[];
	readonly startedAt: number;
}

/** Runs deliveries that were let in, each with an end on its hook's record. */
export class DeliveryRuns {
	readonly #services: Services;
	readonly #interactive: Interactive;

	constructor(services: Services, interactive: Interactive) {
		this.#services = services;
		this.#interactive = interactive;
	}

	/** The version that the hook's alias leads to. That there is none is on record as a delivery that failed. */
	async versionFor(run: Run): Promise<Version> {
		const { project, hook } = run.found;
		try {
			return await this.#services.functions.resolve(project, hook.function, { alias: hook.alias });
		} catch (error) {
			await this.#services.hooks.log.begin(run.found.id, run.event, [], 0);
			await this.#failed(run, error);
			throw error;
		}
	}

	/** Answers its sender, and has on record how it went. @throws whatever kept it from being run */
	async run(response: Response, run: Run, version: Version): Promise<void> {
		try {
			if (run.found.hook.mode === "sync") await this.#answer(response, run, version);
			else await this.#enqueue(response, run, version);
		} catch (error) {
			if (!(error instanceof Unsettled)) throw error;
			await this.#failed(run, error.cause);
			throw error.cause;
		}
	}

	async #failed(run: Run, cause: unknown): Promise<void> {
		const reason = cause instanceof BerthError ? `${cause.code}: ${cause.message}` : "platform_error";
		const status = cause instanceof BerthError ? cause.entry.status : 500;
		await this.#end(run, { result: "failed", reason, status });
	}

	async #answer(response: Response, run: Run, version: Version): Promise<void> {
		const { body, receipt } = run;
		let settled = false;
		const onSettled = async ({ id, settlement }: Ended) => {
			const answer = await this.#answerOf(settlement);
			settled = true;
			if (answer === undefined) await this.#endDone(run, { result: "failed", invocation: id, ...failureOf(settlement) });
			else if (isGood(answer.status)) await this.#endDone(run, { result: "answered", invocation: id, status: answer.status }, answer);
			else
				await this.#endDone(run, {
					result: "failed",
					invocation: id,
					status: answer.status,
					reason: `its function answered ${answer.status}`,
				});
		};
		try {
			const delivered = { trigger: { kind: "http", request: receipt.head }, bytes: body, source: "hook", trace: receipt.trace } as const;
			await this.#interactive.answerDelivery(response, version, delivered, onSettled);
		} catch (cause) {
			throw settled ? cause : new Unsettled(cause);
		}
	}

	async #enqueue(response: Response, run: Run, version: Version): Promise<void> {
		const { found, event, body, receipt } = run;
		const status = found.hook.answerStatus;
		let invocation: string;
		try {
			const delivered = { trigger: { kind: "http", request: receipt.head }, body, source: "hook", trace: receipt.trace } as const;
			({ id: invocation } = await enqueue(version, delivered, this.#services));
		} catch (cause) {
			throw new Unsettled(cause);
		}
		const text = JSON.stringify({ event: event.id, invocation });
		const answer: FirstAnswer = status === 204 ? { status } : { status, contentType: "application/json", body: { text } };
		await this.#endDone(run, { result: "queued", invocation, status }, answer);
		sendAgain(response, answer);
	}

	/** What duplicates are answered with; undefined when the function gave no answer. */
	async #answerOf({ result }: Ended["settlement"]): Promise<FirstAnswer | undefined> {
		if (result === undefined) return undefined;
		const body = await this.#services.artifacts.payloads.getBody(result.body);
		const { response, contentType = response?.headers.find(([name]) => name.toLowerCase() === "content-type")?.[1] } = result;
		return {
			status: response?.status ?? (body.length === 0 ? 204 : 200),
			...(contentType === undefined ? {} : { contentType }),
			...(body.length === 0 || body.length > HOOK_LIMITS.answerBytes ? {} : { body: result.body }),
		};
	}

	/** What was run, or is on disk, is: its sender hears so although the log can't be told, lest it come again. */
	async #endDone(run: Run, end: Partial<StoredEvent> & { readonly result: HookResult }, answer?: FirstAnswer): Promise<void> {
		try {
			await this.#end(run, end, answer);
		} catch (err) {
			const { found, event } = run;
			this.#services.log.error({ err, hook: found.hook.name, event: event.id }, "how a delivery ended couldn't be recorded");
		}
	}

	async #end(
		{ found, event, identities, startedAt }: Run,
		end: Partial<StoredEvent> & { readonly result: HookResult },
		answer?: FirstAnswer,
	): Promise<void> {
		this.#services.metrics.delivered(end.result);
		const ended = { ...event, ...end, durationMs: Math.round(performance.now() - startedAt) };
		await this.#services.hooks.log.end(found.id, ended, identities, answer);
	}
}

/** Why there is no answer, and what its sender is told instead. */
function failureOf({ attempt }: Ended["settlement"]): { readonly reason: string; readonly status: number } {
	const { outcome, code, error } = attempt;
	const reason = error === undefined ? (code ?? outcome) : `${error.name}: ${error.message}`;
	return { reason: reason.slice(0, 1000), status: ERRORS[failureCodeOf(attempt)].status };
}

/** Ended before its function did. */
class Unsettled extends Error {
	constructor(cause: unknown) {
		super("the delivery wasn't settled", { cause });
	}
}

function isGood(status: number): boolean {
	return status >= 200 && status < 400;
}

/** The answer that was stored of a delivery. */
export function sendAgain(response: Response, { status, contentType, body }: FirstAnswer): void {
	response.status(status);
	if (contentType !== undefined) writeAnswerHeaders(response, [["content-type", contentType]]);
	response.end(body === undefined ? "" : "text" in body ? body.text : "base64" in body ? Buffer.from(body.base64, "base64") : "");
}
