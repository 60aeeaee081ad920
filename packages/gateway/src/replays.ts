import { BerthError, type BodyReference, type InvocationRecord, newId, type ReplayAnswer, type Version } from "@berth/contracts";
import type { KeptRequest } from "@berth/queue";
import type { Request, Response } from "express";
import { type Enqueuing, enqueue } from "./background/enqueue.js";
import { needRecord, noRecord } from "./find-record.js";
import { claimedId } from "./idempotency/idempotency.js";
import { wordFrom } from "./query.js";
import type { Services } from "./services.js";

/** Which version a replay runs: that of the first invocation, or the one that answers now. */
export type ReplayVersion = "same" | "latest";
const VERSIONS: readonly ReplayVersion[] = ["same", "latest"];

/** `POST /v1/invocations/{id}/replay` */
export async function replayInvocation(request: Request, response: Response, services: Services): Promise<void> {
	const version = replayVersionFrom(request);
	const record = await needRecord(request, services);
	const { answer, isNew } = await replay(record, version, services, claimedId(response));
	response
		.status(isNew ? 202 : 200)
		.location(`/v1/invocations/${answer.id}`)
		.json(answer);
}

export function replayVersionFrom({ query }: Request): ReplayVersion {
	return wordFrom(query["version"], "version", VERSIONS) ?? "same";
}

/** What a replay came to. */
interface Replayed {
	readonly answer: ReplayAnswer;
	/** False: the dead letter had been replayed before, as that. */
	readonly isNew: boolean;
}

/**
 * Runs the payload of a settled background invocation once more, as a new one. A dead letter is none any more then, and isn't run again.
 * @param as the id of the new one, should this be asked again
 * @throws BerthError `invocation_unsettled`, `payload_gone`, `invocation_not_found`, or why its version can't be run
 */
export async function replay(record: InvocationRecord, which: ReplayVersion, services: Services, as?: string): Promise<Replayed> {
	const { id, background } = record;
	if (background?.replayedAs !== undefined) return await before(record, background.replayedAs, services);
	const kept = await keptOf(record, services);
	const version = await versionOf(record, which, services);
	const body = (of: string) => queuedBody(id, kept.body, services, of);
	const timeoutMs = Math.min(kept.timeoutMs, version.manifest.timeoutMs);
	const asked = { trigger: kept.trigger, callback: kept.callback, body, timeoutMs, source: "replay", replayOf: id } as const;
	if (background?.dead === true) return await replayDead(record, version, asked, services);
	const invocation = await enqueue(version, { ...asked, ...(as === undefined ? {} : { id: as }) }, services);
	return { answer: { id: invocation.id, state: "queued", replayOf: id, version: version.number }, isNew: true };
}

async function replayDead(record: InvocationRecord, version: Version, asked: Enqueuing, services: Services): Promise<Replayed> {
	const { id, project } = record;
	const { deadLetters } = services.invocations;
	const claim = await deadLetters.claimReplay(project, id, newId("inv"));
	if (claim.kind === "none") throw noRecord(id);
	if (claim.kind === "replayed") return await before(record, claim.as, services);
	await enqueue(version, { ...asked, id: claim.as }, services);
	await deadLetters.replayed(project, id);
	return { answer: { id: claim.as, state: "queued", replayOf: id, version: version.number }, isNew: true };
}

/** Of a dead letter that was replayed: as what. */
async function before({ id, version }: InvocationRecord, as: string, { invocations }: Services): Promise<Replayed> {
	const replayed = await invocations.record(as);
	return { answer: { id: as, state: replayed?.state ?? "settled", replayOf: id, version: replayed?.version ?? version }, isNew: false };
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

/** The body as one that waits to be run. @param of as what */
async function queuedBody(id: string, body: BodyReference, { artifacts }: Services, of: string): Promise<BodyReference> {
	const { queued, requests } = artifacts;
	if (!("payload" in body)) return body;
	const store = (await requests.has(body.payload)) ? requests : (await queued.has(body.payload)) ? queued : undefined;
	if (store === undefined) throw gone(id, "it was removed to make room for newer ones (BERTH_REQUESTS_MIB)");
	return await queued.adoptBody(store, body, { durability: "durable", of });
}

function gone(id: string, why: string): BerthError {
	return new BerthError("payload_gone", `${id} can't be replayed: ${why}`);
}
