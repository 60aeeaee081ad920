import { allows, BerthError, type CancelAnswer, INVOCATION_ID, type InvocationRecord, type InvocationRequest } from "@berth/contracts";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { findRecord, needRecord, noRecord } from "./find-record.js";
import { answerOf } from "./invocation-answers.js";
import type { Services } from "./services.js";

/**
 * `POST /v1/invocations/{id}/cancel`: 200 when it is settled, by that or before; 202 while it runs. The record is for whoever may read it.
 * An interactive one has no record yet: it is cancelled by the gateway that waits for it, whichever that is.
 */
export async function cancelInvocation(request: Request, response: Response, services: Services): Promise<void> {
	const { project, holder } = principalOf(request);
	const id = String(request.params["id"]);
	const { invocations } = services;
	if (invocations.cancel(id, "asked", project)) return told(id, response);
	const known = await findRecord(request, services);
	// Until it has ended only the gateway that waits for it knows of it.
	if (known === undefined && INVOCATION_ID.test(id) && (await invocations.cancelAnywhere(id, project))) return told(id, response);
	// It may have ended meanwhile.
	const found = known ?? (await needRecord(request, services));
	if (found.lane === "background") await cancelBackground(found, services);
	const record = await invocations.record(id);
	if (record === undefined) throw noRecord(id);
	const { state } = record;
	const answer = allows(holder.scopes, "read") ? await answerOf(record, services.artifacts) : { id, state };
	response.status(state === "settled" ? 200 : 202).json(answer satisfies CancelAnswer);
}

function told(id: string, response: Response): void {
	response.status(202).json({ id, state: "running" } satisfies CancelAnswer);
}

/** Of one that isn't settled: what waits is, by this; what runs is told to end. */
export async function cancelBackground(record: InvocationRecord, services: Services): Promise<void> {
	const { request } = await services.invocations.cancelBackground(record.id, record);
	if (request !== undefined) await keep(request, services);
}

/** What a worker does when it settles one: its body is kept for a replay, and waits no more. */
async function keep(request: InvocationRequest, { artifacts, invocations, log }: Services): Promise<void> {
	try {
		const { queued, requests } = artifacts;
		await invocations.keepRequest({ ...request, body: await requests.adoptBody(queued, request.body) });
		await queued.removeBody(request.body);
	} catch (err) {
		if (!(err instanceof BerthError)) throw err;
		log.warn({ err, invocation: request.id }, "the payload of a cancelled invocation couldn't be kept for a replay");
	}
}
