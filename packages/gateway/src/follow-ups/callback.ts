import {
	BerthError,
	type CallbackRecord,
	FOLLOW_UP_LIMITS,
	type InvocationAnswer,
	type InvocationRecord,
	SECOND_MS,
	schemeOf,
} from "@berth/contracts";
import { answerOf } from "../invocation-answers.js";
import type { Services } from "../services.js";
import { post } from "./post.js";
import type { Step } from "./step.js";
import { waitAfter } from "./waits.js";

/** A receiver that says so wants no more of it (github.com/standard-webhooks/standard-webhooks, spec). */
const GONE = 410;

/** Posts a settlement, signed, with the trace of its invocation. Nothing of it is the caller's but where it goes and what was answered. */
export async function sendCallback(record: InvocationRecord, callback: CallbackRecord, services: Services): Promise<Step<CallbackRecord>> {
	const { callbackSecrets, artifacts, permissions, outbox } = services;
	const body = Buffer.from(JSON.stringify(messageOf(await answerOf(record, artifacts))));
	const trace = await outbox.traceOf(record.id);
	const secrets = await callbackSecrets.signing(record.project).catch(ofRemoved);
	if (secrets === undefined) {
		const { url, attempts } = callback;
		return { state: { url, attempts, state: "failed", lastError: "its project was removed, and what it was signed with", ...ended() } };
	}
	const headers = { ...signed(record.id, body, secrets), ...trace };
	const posted = await post({ url: callback.url, headers, body, allowed: permissions.callbackHosts });
	const attempts = callback.attempts + 1;
	const made = { url: callback.url, attempts, ...("status" in posted ? { lastStatus: posted.status } : {}) };
	if ("status" in posted && posted.status >= 200 && posted.status < 300) return { state: { ...made, state: "delivered", ...ended() } };
	const lastError = "status" in posted ? reasonFor(posted.status) : posted.error;
	const isFinal = "status" in posted ? posted.status === GONE : posted.refused === true;
	const waitMs = isFinal ? undefined : waitAfter(attempts, "status" in posted ? posted.retryAfter : undefined);
	if (waitMs === undefined) return { state: { ...made, state: "failed", lastError, ...ended() } };
	return { state: { ...made, state: "waiting", lastError, nextAt: new Date(Date.now() + waitMs).toISOString() }, nextMs: waitMs };
}

function ofRemoved(error: unknown): undefined {
	if (!(error instanceof BerthError) || error.code !== "project_not_found") throw error;
}

function ended(): { readonly endedAt: string } {
	return { endedAt: new Date().toISOString() };
}

function reasonFor(status: number): string {
	if (status >= 300 && status < 400) return `it answered ${status}: redirects aren't followed`;
	return status === GONE ? `it answered ${GONE}: it wants no more` : `it answered ${status}`;
}

/** What is posted: the record without its logs, its result bounded. */
export function settlementOf({
	logs: _,
	logsTruncated: __,
	callback: ___,
	follower: ____,
	attempts: _____,
	result,
	error,
	...rest
}: InvocationAnswer): object {
	const location = `/v1/invocations/${rest.id}`;
	const isSmall = result !== undefined && Buffer.byteLength(JSON.stringify(result)) <= FOLLOW_UP_LIMITS.resultBytes;
	return {
		...rest,
		...(error === undefined ? {} : { error: { name: error.name, message: error.message } }),
		...(result === undefined ? {} : { result: isSmall ? result : { location } }),
		location,
	};
}

function messageOf(answer: InvocationAnswer): object {
	return { type: "invocation.settled", timestamp: answer.settledAt ?? answer.acceptedAt, data: settlementOf(answer) };
}

/** As Standard Webhooks say: the same id with every try, and a signature of each secret that is good. */
function signed(id: string, body: Buffer, secrets: readonly string[]): Record<string, string> {
	const message = { body, id, atMs: Math.floor(Date.now() / SECOND_MS) * SECOND_MS };
	const all = secrets.map((secret) => Object.fromEntries(schemeOf("standard-webhooks").sign(message, secret, {})));
	const signature = all.map((headers) => headers["webhook-signature"]).join(" ");
	return { ...all[0], "webhook-signature": signature, "content-type": "application/json", "user-agent": "Berth (callback)" };
}
