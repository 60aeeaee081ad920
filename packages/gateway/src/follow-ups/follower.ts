import {
	BerthError,
	type BodyReference,
	type FollowerRecord,
	followTarget,
	INLINE_BODY_BYTES,
	type InvocationRecord,
	MOST_DEPTH,
	newId,
	outcomeOf,
} from "@berth/contracts";
import type { FollowerMaterial } from "@berth/queue";
import { enqueue } from "../background/enqueue.js";
import { answerOf, shownBody, textOrBase64 } from "../invocation-answers.js";
import type { Services } from "../services.js";
import { settlementOf } from "./callback.js";
import type { Step } from "./step.js";
import { waitAfter } from "./waits.js";

const GIVEN = { kind: "event", contentType: "application/json" } as const;

/** Gives a settlement to the function that is to get it, as an invocation of its own. @param note writes down which, before it is accepted */
export async function startFollower(
	record: InvocationRecord,
	follower: FollowerRecord,
	material: FollowerMaterial,
	services: Services,
	note: (state: FollowerRecord) => Promise<boolean>,
): Promise<Step<FollowerRecord>> {
	const name = targetOf(record, material);
	if (name === undefined) return { state: { state: "delivered", attempts: 0, endedAt: new Date().toISOString() } };
	// The same with every try: one that was accepted by a gateway that died then isn't accepted twice.
	const id = follower.invocation ?? newId("inv");
	const attempts = follower.attempts + 1;
	const made = { function: name, attempts };
	try {
		const version = await versionOf(record.project, name, material, services);
		if (follower.invocation === undefined && !(await note({ ...follower, function: name, invocation: id }))) throw new LeaseLost();
		const origin = { depth: material.depth + 1, parent: { id: record.id, function: record.function } };
		const body = await payloadOf(record, material, services);
		await enqueue(version, { id, trigger: GIVEN, body, trace: material.trace, origin }, services);
		return { state: { ...made, invocation: id, state: "delivered", endedAt: new Date().toISOString() } };
	} catch (error) {
		if (!(error instanceof BerthError)) throw error;
		const lastError = `${error.code}: ${error.message}`;
		const waitMs = error.entry.retryable ? waitAfter(attempts) : undefined;
		if (waitMs === undefined) return { state: { ...made, state: "failed", lastError, endedAt: new Date().toISOString() } };
		return {
			state: { ...made, invocation: id, state: "waiting", lastError, nextAt: new Date(Date.now() + waitMs).toISOString() },
			nextMs: waitMs,
		};
	}
}

/** Somebody else has it in hand. */
export class LeaseLost extends Error {
	override readonly name = "LeaseLost";
}

/** What was cancelled neither succeeded nor failed. */
function targetOf(record: InvocationRecord, { follow }: FollowerMaterial): string | undefined {
	const outcome = outcomeOf(record);
	if (outcome === "succeeded") return follow.onSuccess;
	return outcome === "cancelled" ? undefined : follow.onFailure;
}

async function versionOf(project: string, target: string, { depth }: FollowerMaterial, { functions }: Services) {
	if (depth >= MOST_DEPTH) throw new BerthError("too_deep", `${MOST_DEPTH} invocations have come of one another already`);
	const { name = target, alias } = followTarget(target) ?? {};
	return await functions.resolve(project, name, alias === undefined ? undefined : { alias });
}

async function payloadOf(
	record: InvocationRecord,
	{ body: asked, contentType, http }: FollowerMaterial,
	services: Services,
): Promise<Buffer> {
	const { artifacts } = services;
	const body = await smallBody(record.id, asked, services);
	const { result, error, ...invocation } = settlementOf(await answerOf(record, artifacts)) as Record<string, unknown>;
	const request = {
		...(contentType === undefined ? {} : { contentType }),
		...(http ?? {}),
		...("payload" in body ? { sizeBytes: body.sizeBytes, location: `/v1/invocations/${record.id}` } : shownBody(body, contentType)),
	};
	return Buffer.from(
		JSON.stringify({ invocation, request, ...(result === undefined ? {} : { result }), ...(error === undefined ? {} : { error }) }),
	);
}

/** What was asked, as it stands in a payload while it is small and kept for a replay. */
async function smallBody(id: string, body: BodyReference, { invocations, artifacts }: Services): Promise<BodyReference> {
	if (!("payload" in body) || body.sizeBytes > INLINE_BODY_BYTES) return body;
	const kept = (await invocations.keptRequest(id))?.body;
	const bytes = kept !== undefined && "payload" in kept ? await artifacts.requests.find(kept.payload) : undefined;
	return bytes === undefined ? body : textOrBase64(bytes);
}
