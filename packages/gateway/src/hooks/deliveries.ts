import {
	BerthError,
	HOOK_LIMITS,
	type Hook,
	type HookResult,
	schemeOf,
	type Verified,
	type Version,
	verifyDelivery,
} from "@berth/contracts";
import type { FirstAnswer, OpenHook, StoredEvent } from "@berth/registry";
import type { Request, Response } from "express";
import { writeFunctionHeaders } from "../function-headers.js";
import type { Ended, Invocations } from "../invocations.js";
import type { Services } from "../services.js";
import { cutBody, keptBody, type Receipt, receiptOf } from "./receipt.js";
import { isWanted, Refusals, strangeness } from "./refusals.js";

const EMPTY = Buffer.alloc(0);
/** When a sender may come again whose delivery is being run, seconds. */
const RETRY_AFTER = "5";
/** What is about to be run. */
interface Run {
	readonly found: OpenHook;
	readonly receipt: Receipt;
	readonly event: StoredEvent;
	readonly body: Buffer;
	/** What tells repetitions of it. */
	readonly identities: readonly string[];
	readonly startedAt: number;
}

/** Takes what providers deliver to hooks: verified before anything is queued, let in once, and on record. */
export class Deliveries {
	readonly #services: Services;
	readonly #invocations: Invocations;
	readonly #refusals: Refusals;

	constructor(services: Services, invocations: Invocations) {
		this.#services = services;
		this.#invocations = invocations;
		this.#refusals = new Refusals(services);
	}

	/** Any method on `/hook/{id}` */
	async receive(request: Request, response: Response): Promise<void> {
		const startedAt = performance.now();
		const found = await this.#services.hooks.find(String(request.params["id"]));
		if (found === undefined) throw this.#refusals.unknown();
		const receipt = receiptOf(found, request);
		const { hook } = found;
		const stranger = strangeness(hook, receipt.event);
		if (stranger !== undefined) throw await this.#refusals.refused(found, receipt.event, EMPTY, stranger);
		const body = await this.#read(found, receipt.event, request);
		const event = { ...receipt.event, bodyBytes: body.length };
		const circumstances = { nowMs: Date.now(), toleranceMs: toleranceOf(hook), settings: hook.settings };
		const verdict = verifyDelivery(hook.scheme, { headers: receipt.headers, body }, found.secrets(), circumstances);
		if (!verdict.verified) throw await this.#refusals.refused(found, event, body, verdict.reason);
		await this.#letIn(response, found, receipt, { ...event, ...namesOf(verdict) }, body, verdict, startedAt);
	}

	async #letIn(
		response: Response,
		found: OpenHook,
		receipt: Receipt,
		event: StoredEvent,
		body: Buffer,
		{ challenge, identities }: Verified,
		startedAt: number,
	): Promise<void> {
		const { hook } = found;
		if (challenge !== undefined) {
			await this.#note(found, { ...event, result: "challenge", status: 200, body: cutBody(body) });
			response.status(200).type("text/plain").send(challenge);
			return;
		}
		if (!isWanted(hook, event.event)) {
			await this.#note(found, { ...event, result: "filtered", status: 200, body: cutBody(body) });
			response.json({ event: event.id, ignored: event.event ?? null });
			return;
		}
		const waitMs = hook.rate ? await this.#services.hooks.admit(found.id, hook.rate) : 0;
		if (waitMs > 0) throw await this.#refusals.limited(found, event, body, waitMs);
		const told = hook.duplicates === "run" ? [] : identities;
		const run = { found, receipt, body, startedAt };
		const kept = { ...event, ...(await this.#keep(body)) };
		const version = await this.#versionFor({ ...run, event: kept, identities: [] });
		const timeoutMs = hook.mode === "sync" ? version.manifest.timeoutMs : 0;
		const claim = await this.#services.hooks.log.begin(found.id, { ...kept, version: version.number }, told, timeoutMs);
		if (claim.kind === "begun") {
			await this.#run(response, { ...run, event: { ...kept, version: version.number }, identities: told }, version);
			return;
		}
		if (kept.body !== undefined) await this.#services.artifacts.deliveries.removeBody(kept.body);
		if (claim.kind === "gone") throw this.#refusals.unknown();
		const { event: first } = claim;
		const repeated = { ...event, duplicateOf: first, result: "duplicate", body: cutBody(body) } as const;
		if (claim.kind === "running") {
			await this.#note(found, { ...repeated, status: 409 });
			response.setHeader("retry-after", RETRY_AFTER);
			throw new BerthError("delivery_running", `this delivery is being run, as ${first}; its answer is there when it is over`);
		}
		await this.#note(found, { ...repeated, status: claim.answer.status });
		sendAgain(response, claim.answer);
	}

	/** The version that the hook's alias leads to. That there is none is on record as a delivery that failed. */
	async #versionFor(run: Run): Promise<Version> {
		const { project, hook } = run.found;
		try {
			return await this.#services.functions.resolve(project, hook.function, { alias: hook.alias });
		} catch (error) {
			await this.#services.hooks.log.begin(run.found.id, run.event, [], 0);
			await this.#failed(run, error);
			throw error;
		}
	}

	async #run(response: Response, run: Run, version: Version): Promise<void> {
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
			const { outcome, code, error } = settlement.attempt;
			const reason = error === undefined ? (code ?? outcome) : `${error.name}: ${error.message}`;
			if (answer === undefined) await this.#endDone(run, { result: "failed", invocation: id, reason: reason.slice(0, 1000) });
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
			await this.#invocations.answerDelivery(
				response,
				{ version, trigger: { kind: "http", request: receipt.head }, bytes: body, source: "hook", trace: receipt.trace },
				onSettled,
			);
		} catch (cause) {
			throw settled ? cause : new Unsettled(cause);
		}
	}

	async #enqueue(response: Response, run: Run, version: Version): Promise<void> {
		const { found, event, body, receipt } = run;
		const status = found.hook.answerStatus;
		let invocation: string;
		try {
			invocation = await this.#invocations.enqueueDelivery({
				version,
				trigger: { kind: "http", request: receipt.head },
				bytes: body,
				source: "hook",
				trace: receipt.trace,
			});
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

	async #note({ id }: OpenHook, event: StoredEvent): Promise<void> {
		this.#services.metrics.delivered(event.result);
		await this.#services.hooks.log.note(id, event);
	}

	/** A log that has no room costs a delivery nothing. */
	async #keep(body: Buffer): Promise<Pick<StoredEvent, "body">> {
		try {
			return { body: await keptBody(body, this.#services.artifacts.deliveries) };
		} catch (err) {
			this.#services.log.warn({ err }, "the body of a delivery couldn't be kept for its hook's log");
			return {};
		}
	}

	async #read(found: OpenHook, event: StoredEvent, request: Request): Promise<Buffer> {
		try {
			return await this.#services.bodies.read(request, found.hook.maxBodyBytes);
		} catch (error) {
			if (error instanceof BerthError && error.code === "body_too_large") await this.#refusals.refused(found, event, EMPTY, error.message);
			throw error;
		}
	}
}

/** Ended before its function did. */
class Unsettled extends Error {
	constructor(cause: unknown) {
		super("the delivery wasn't settled", { cause });
	}
}

function toleranceOf({ scheme, toleranceMs }: Hook): number {
	return toleranceMs ?? schemeOf(scheme).toleranceMs ?? 0;
}

function namesOf({ event, deliveryId }: Verified): Pick<StoredEvent, "event" | "deliveryId"> {
	return {
		...(event === undefined ? {} : { event: event.slice(0, 200) }),
		...(deliveryId === undefined ? {} : { deliveryId: deliveryId.slice(0, 200) }),
	};
}

function isGood(status: number): boolean {
	return status >= 200 && status < 400;
}

function sendAgain(response: Response, { status, contentType, body }: FirstAnswer): void {
	response.status(status);
	if (contentType !== undefined) writeFunctionHeaders(response, [["content-type", contentType]]);
	response.end(body === undefined ? "" : "text" in body ? body.text : "base64" in body ? Buffer.from(body.base64, "base64") : "");
}
