import { BerthError, type InvocationAnswer, type InvocationRecord, type InvocationResult } from "@berth/contracts";
import type { ArtifactStore } from "@berth/registry";
import type { Request, Response } from "express";
import { authenticate } from "./auth.js";
import { isJson, parseJson } from "./json.js";
import { logEntriesOf } from "./log-entries.js";
import { wrongQuery } from "./query.js";
import type { Services } from "./services.js";

const ID = /^inv_[0-9a-z]{26}$/;

/** `GET /v1/invocations/{id}` */
export async function getInvocation(request: Request, response: Response, services: Services): Promise<void> {
	response.json(await answerOf(await needRecord(request, services), services.artifacts));
}

/** The record that a path names. @throws BerthError unauthorized, invocation_not_found */
export async function needRecord(request: Request, { keys, invocations }: Services): Promise<InvocationRecord> {
	const { project } = await authenticate(request, keys);
	const id = String(request.params["id"]);
	const record = ID.test(id) ? await invocations.record(id) : undefined;
	if (record === undefined || record.project !== project) {
		throw new BerthError(
			"invocation_not_found",
			`there is no record of ${JSON.stringify(id.slice(0, 64))}; successes are kept 10 minutes, everything else a day`,
		);
	}
	return record;
}

/** An id out of a query. @throws BerthError invalid_request */
export function invocationIdFrom(text: unknown): string {
	if (typeof text === "string" && ID.test(text)) return text;
	throw wrongQuery("invocation", "the id of an invocation: inv_ and 26 characters");
}

/** A record with its result and log lines, wherever they are. */
export async function answerOf(record: InvocationRecord, artifacts: ArtifactStore): Promise<InvocationAnswer> {
	const { last, logs, result, acceptedAtMs, ...rest } = record;
	const [lines, answered] = [await logEntriesOf(logs, artifacts), await resultOf(result, artifacts)];
	const removed = [
		...(lines === undefined ? ["logs" as const] : []),
		...(result !== undefined && answered === undefined ? ["result" as const] : []),
	];
	return {
		...rest,
		acceptedAt: new Date(acceptedAtMs).toISOString(),
		...(last === undefined ? {} : attemptOf(last)),
		...(answered === undefined ? {} : { result: answered }),
		logs: lines ?? [],
		logsTruncated: logs?.truncated ?? false,
		...(removed.length === 0 ? {} : { removed }),
	};
}

function attemptOf({ finishedAtMs, ...attempt }: NonNullable<InvocationRecord["last"]>): Partial<InvocationAnswer> {
	return { ...attempt, finishedAt: new Date(finishedAtMs).toISOString() } as Partial<InvocationAnswer>;
}

/** Undefined when there is none, or when it was removed. */
async function resultOf(result: InvocationResult | undefined, { results }: ArtifactStore): Promise<InvocationAnswer["result"] | undefined> {
	if (result === undefined) return undefined;
	const { body, contentType, response } = result;
	const head = { ...(contentType === undefined ? {} : { contentType }), ...(response === undefined ? {} : { status: response.status }) };
	if (!("payload" in body)) return { ...head, ...shownBody(body, contentType) };
	const bytes = await results.find(body.payload);
	if (bytes === undefined) return undefined;
	const text = bytes.toString("utf8");
	return { ...head, ...shownBody(bytes.equals(Buffer.from(text)) ? { text } : { base64: bytes.toString("base64") }, contentType) };
}

/** A body as it stands in JSON: parsed when that is what it is. */
export function shownBody(
	body: { readonly text: string } | { readonly base64: string },
	contentType: string | undefined,
): { readonly json: unknown } | { readonly text: string } | { readonly base64: string } {
	if ("base64" in body) return body;
	return contentType !== undefined && isJson(contentType) ? asJson(body.text) : body;
}

/** A function may call anything JSON: what isn't, is too much to parse, or can't be written again, stays text. */
function asJson(text: string): { readonly json: unknown } | { readonly text: string } {
	try {
		return { json: parseJson(Buffer.from(text), "the result") };
	} catch (error) {
		if (!(error instanceof BerthError)) throw error;
		return { text };
	}
}
