import { BerthError, type Hook, schemeOf, type Verified, verifyDelivery } from "@berth/contracts";
import type { OpenHook, Repeated, StoredEvent } from "@berth/registry";
import type { Request, Response } from "express";
import type { Interactive } from "../interactive.js";
import { takeOfRates } from "../rate-limit.js";
import type { Services } from "../services.js";
import { DeliveryRuns, sendAgain } from "./delivery-runs.js";
import { cutBody, keptBody, type Receipt, receiptOf } from "./receipt.js";
import { isWanted, Refusals, strangeness } from "./refusals.js";

const EMPTY = Buffer.alloc(0);
/** When a sender may come again whose delivery is being run, seconds. */
const RETRY_AFTER = "5";
/** Takes what providers deliver to hooks: verified before anything is queued, let in once, and on record. */
export class Deliveries {
	readonly #services: Services;
	readonly #runs: DeliveryRuns;
	readonly #refusals: Refusals;

	constructor(services: Services, interactive: Interactive) {
		this.#services = services;
		this.#runs = new DeliveryRuns(services, interactive);
		this.#refusals = new Refusals(services);
	}

	/** Any method on `/hook/{id}` */
	async receive(request: Request, response: Response): Promise<void> {
		const startedAt = performance.now();
		const found = await this.#services.hooks.find(String(request.params["id"]));
		if (found === undefined) throw this.#refusals.unknown();
		const receipt = receiptOf(found, request);
		const { hook } = found;
		await this.#services.pacing.take(found.project)?.catch((error: unknown) => this.#refusals.overRate(found, receipt.event, EMPTY, error));
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
		await takeOfRates(found.project, response, this.#services).catch((error: unknown) =>
			this.#refusals.overRate(found, event, body, error),
		);
		const told = hook.duplicates === "run" ? [] : identities;
		const { log } = this.#services.hooks;
		const admission = hook.rate ? await log.admit(found.id, hook.rate, told) : ({ kind: "admitted" } as const);
		if (admission.kind === "limited") throw await this.#refusals.limited(found, event, body, admission.waitMs);
		if (admission.kind !== "admitted") return await this.#repeat(response, found, event, body, admission);
		const run = { found, receipt, body, startedAt };
		const kept = { ...event, ...(await this.#keep(body)) };
		const version = await this.#runs.versionFor({ ...run, event: kept, identities: [] });
		const timeoutMs = hook.mode === "sync" ? version.manifest.timeoutMs : 0;
		const claim = await log.begin(found.id, { ...kept, version: version.number }, told, timeoutMs);
		if (claim.kind === "begun") {
			await this.#runs.run(response, { ...run, event: { ...kept, version: version.number }, identities: told }, version);
			return;
		}
		if (kept.body !== undefined) await this.#services.artifacts.deliveries.removeBody(kept.body);
		if (claim.kind === "gone") throw this.#refusals.unknown();
		// It came meanwhile, and has its own place in the rate.
		if (hook.rate) await log.readmit(found.id);
		await this.#repeat(response, found, event, body, claim);
	}

	/** Answers one that was let in already. */
	async #repeat(response: Response, found: OpenHook, event: StoredEvent, body: Buffer, claim: Repeated): Promise<void> {
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
			if (!(error instanceof BerthError) || error.code !== "body_too_large") throw error;
			throw await this.#refusals.refused(found, event, EMPTY, error.message, error);
		}
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
