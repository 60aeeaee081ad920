import { BerthError, HEADERS, type InvocationRequest, MOST_AHEAD_MS, momentIn, type Version } from "@berth/contracts";
import { sharedNow } from "@berth/queue";
import type { Request } from "express";
import { eitherOf, onlyInBackground } from "../query.js";

const MILLISECONDS = /^\d{1,15}$/;
const WANTED = "a time with its zone as in 2026-12-24T18:00:00Z, or milliseconds since the epoch; at most 30 days ahead";

/** How an invocation of a version is tried again in the background. */
export function retryOf({ manifest: { background = {} } }: Version): Pick<InvocationRequest, "retry"> {
	const { attempts, backoffMs, maxAgeMs } = background;
	if (attempts === undefined && backoffMs === undefined && maxAgeMs === undefined) return {};
	return {
		retry: {
			...(attempts === undefined ? {} : { attempts }),
			...(backoffMs === undefined ? {} : { backoffMs }),
			...(maxAgeMs === undefined ? {} : { maxAgeMs }),
		},
	};
}

/** When the caller wants it run, by the header or the query; what is past means now. @throws BerthError invalid_request */
export function runAtOf(request: Request, isAsync: boolean): number | undefined {
	const { said: asked, field } = eitherOf(request, HEADERS.runAt, "runAt");
	if (asked === undefined) return undefined;
	const wrong = (message: string) => new BerthError("invalid_request", `${field}: ${message}`, { issues: [{ field, message }] });
	if (!isAsync) throw wrong(onlyInBackground(request));
	const atMs = typeof asked === "string" ? timeIn(asked) : Number.NaN;
	const now = sharedNow();
	if (Number.isNaN(atMs) || atMs > now + MOST_AHEAD_MS) throw wrong(WANTED);
	return atMs > now ? atMs : undefined;
}

function timeIn(text: string): number {
	if (MILLISECONDS.test(text)) return Number(text);
	return momentIn(text) ?? Number.NaN;
}
