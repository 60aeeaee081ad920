import {
	BerthError,
	type DeadLettersPurged,
	type DeadLettersReplayed,
	INVOCATION_ID,
	type InvocationRecord,
	type ReplayAnswer,
} from "@berth/contracts";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { listed, wantedFrom } from "./invocation-lists.js";
import { countFrom } from "./query.js";
import { replay, replayVersionFrom } from "./replays.js";
import type { Services } from "./services.js";

/** Of one request: a caller sees how far it is, and goes on with the cursor. */
const MOST_REPLAYED = 100;
const MOST_PURGED = 1000;

/** `POST /v1/dead-letters/replay` */
export async function replayDeadLetters(request: Request, response: Response, services: Services): Promise<void> {
	const version = replayVersionFrom(request);
	const { records, before } = await chosen(request, services, MOST_REPLAYED);
	const replayed: ReplayAnswer[] = [];
	const skipped: { id: string; code: string; reason: string }[] = [];
	for (const record of records) {
		try {
			const { answer, isNew } = await replay(record, version, services);
			// Somebody else's replay took it from among them.
			if (isNew) replayed.push(answer);
		} catch (error) {
			// Of the others nothing is known yet; what was done is said in any case, unless it was nothing.
			if (!(error instanceof BerthError) || (error.entry.fault === "platform" && replayed.length === 0)) throw error;
			skipped.push({ id: record.id, code: error.code, reason: error.message });
		}
	}
	const answer = { replayed, skipped, ...(before === undefined ? {} : { cursor: before }) } satisfies DeadLettersReplayed;
	response.status(202).json(answer);
}

/** `DELETE /v1/dead-letters` */
export async function purgeDeadLetters(request: Request, response: Response, services: Services): Promise<void> {
	const { records, before } = await chosen(request, services, MOST_PURGED);
	let purged = 0;
	for (const record of records) if (await purge(record, services)) purged++;
	response.json({ purged, ...(before === undefined ? {} : { cursor: before }) } satisfies DeadLettersPurged);
}

/** `DELETE /v1/dead-letters/{id}` */
export async function purgeDeadLetter(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const id = String(request.params["id"]);
	const record = INVOCATION_ID.test(id) ? await services.invocations.record(id) : undefined;
	if (record === undefined || record.project !== project || !(await purge(record, services)))
		throw new BerthError(
			"invocation_not_found",
			`there is no dead letter ${JSON.stringify(id.slice(0, 64))}; GET /v1/invocations?dead=true lists those there are`,
		);
	response.status(204).end();
}

/** The newest first, as many as one request may concern. */
async function chosen(request: Request, services: Services, most: number) {
	const { project } = principalOf(request);
	const limit = countFrom(request.query["limit"], "limit", 1, most) ?? most;
	return await listed({ ...wantedFrom(request, project), dead: true }, limit, services);
}

/** Its payload first: what leads to it goes last. */
async function purge({ id, project }: InvocationRecord, { invocations, artifacts }: Services): Promise<boolean> {
	if (!(await invocations.deadLetters.has(project, id))) return false;
	const kept = await invocations.keptRequest(id);
	if (kept !== undefined) await artifacts.requests.removeBody(kept.body);
	return await invocations.deadLetters.purge(project, id);
}
