import type { InvocationAnswer } from "@berth/contracts";
import type { Request, Response } from "express";
import { needRecord } from "./find-record.js";
import { answerOf, attemptDetailOf } from "./invocation-answers.js";
import { untilSettled } from "./invocation-watch.js";
import { countFrom, wrongQuery } from "./query.js";
import type { Services } from "./services.js";
import { waitsForEach } from "./waiting.js";

/** How long a caller may wait for a record to be settled, milliseconds. */
const MOST_WAIT_MS = 60_000;
const MOST_ATTEMPT = 1_000_000;

/** `GET /v1/invocations/{id}`; with `?wait=` when it is settled, or as it is when that takes longer. */
export async function getInvocation(request: Request, response: Response, services: Services): Promise<void> {
	const waitMs = waitFrom(request.query["wait"]);
	const record = await needRecord(request, services);
	const last = waitMs > 0 && record.state !== "settled" ? await untilSettled(record, waitMs, response, services) : record;
	const [waitsFor] = await waitsForEach([last], services);
	const answer = await answerOf(last, services.artifacts);
	response.json(waitsFor === undefined ? answer : ({ ...answer, waitsFor } satisfies InvocationAnswer));
}

/** `GET /v1/invocations/{id}/attempts/{number}` */
export async function getAttempt(request: Request, response: Response, services: Services): Promise<void> {
	const number = countFrom(request.params["number"], "number", 1, MOST_ATTEMPT) as number;
	response.json(await attemptDetailOf(await needRecord(request, services), number, services.artifacts));
}

/** `30s`, `1500ms`, or a number of seconds. @throws BerthError invalid_request */
function waitFrom(text: unknown): number {
	if (text === undefined) return 0;
	const [, number, unit] = (typeof text === "string" ? /^(\d{1,5})(ms|s|m)?$/.exec(text) : null) ?? [];
	const waitMs = number === undefined ? Number.NaN : Number(number) * (unit === "ms" ? 1 : unit === "m" ? 60_000 : 1000);
	if (waitMs <= MOST_WAIT_MS) return waitMs;
	throw wrongQuery("wait", "how long to wait at most, up to 60s: 30s, 1500ms");
}
