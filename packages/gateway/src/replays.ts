import { BerthError, type BodyReference, type InvocationRecord, newId, type ReplayAnswer, type Version } from "@berth/contracts";
import type { KeptRequest } from "@berth/queue";
import type { Request, Response } from "express";
import { enqueue } from "./background/enqueue.js";
import { needRecord } from "./find-record.js";
import { wordFrom } from "./query.js";
import type { Services } from "./services.js";

/** Which version a replay runs: that of the first invocation, or the one that answers now. */
export type ReplayVersion = "same" | "latest";
const VERSIONS: readonly ReplayVersion[] = ["same", "latest"];

/** `POST /v1/invocations/{id}/replay` */
export async function replayInvocation(request: Request, response: Response, services: Services): Promise<void> {
	const version = replayVersionFrom(request);
	const record = await needRecord(request, services);
	const answer = await replay(record, version, services);
	response.status(202).location(`/v1/invocations/${answer.id}`).json(answer);
}

export function replayVersionFrom({ query }: Request): ReplayVersion {
	return wordFrom(query["version"], "version", VERSIONS) ?? "same";
}

/**
 * Runs the payload of a settled background invocation once more, as a new one. A dead letter is none any more then.
 * @throws BerthError `invocation_unsettled`, `payload_gone`, or why its version can't be run
 */
export async function replay(record: InvocationRecord, which: ReplayVersion, services: Services): Promise<ReplayAnswer> {
	const { id, project } = record;
	const kept = await keptOf(record, services);
	const version = await versionOf(record, which, services);
	const { deadLetters } = services.invocations;
	const fresh = newId("inv");
	const body = await queuedBody(id, kept.body, services);
	const as = (record.background?.dead === true ? await deadLetters.claimReplay(project, id, fresh) : undefined) ?? fresh;
	const timeoutMs = Math.min(kept.timeoutMs, version.manifest.timeoutMs);
	const { trigger, callback } = kept;
	await enqueue(version, { id: as, trigger, body, timeoutMs, source: "replay", replayOf: id, callback }, services);
	await deadLetters.replayed(project, id);
	return { id: as, state: "queued", replayOf: id, version: version.number };
}

async function keptOf({ id, lane, state }: InvocationRecord, { invocations }: Services): Promise<KeptRequest> {
	if (lane === "interactive") throw gone(id, "somebody waited for it: payloads are only kept of background invocations");
	if (state !== "settled") throw new BerthError("invocation_unsettled", `${id} is ${state}: wait for its end, or cancel it`);
	const kept = await invocations.keptRequest(id);
	if (kept === undefined) throw gone(id, "its headers were too large to be kept, or it was cancelled before it could be");
	return kept;
}

/** @throws BerthError as for any invocation of that version */
async function versionOf(
	{ project, function: name, version }: InvocationRecord,
	which: ReplayVersion,
	services: Services,
): Promise<Version> {
	return await services.functions.resolve(project, name, which === "same" ? { version } : undefined);
}

/** The body as one that waits to be run. */
async function queuedBody(id: string, body: BodyReference, { artifacts }: Services): Promise<BodyReference> {
	const { queued, requests } = artifacts;
	if (!("payload" in body)) return body;
	const store = (await requests.has(body.payload)) ? requests : (await queued.has(body.payload)) ? queued : undefined;
	if (store === undefined) throw gone(id, "it was removed to make room for newer ones (BERTH_REQUESTS_MIB)");
	return await queued.adoptBody(store, body, { durability: "durable" });
}

function gone(id: string, why: string): BerthError {
	return new BerthError("payload_gone", `${id} can't be replayed: ${why}`);
}
