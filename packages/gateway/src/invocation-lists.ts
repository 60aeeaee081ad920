import { INVOCATION_ID, type InvocationList, OUTCOMES } from "@berth/contracts";
import type { Page, Wanted } from "@berth/queue";
import { functionNotFound } from "@berth/registry";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { summaryOf } from "./invocation-answers.js";
import { flagFrom, nameFrom } from "./names.js";
import { countFrom, timeFrom, wordFrom, wrongQuery } from "./query.js";
import type { Services } from "./services.js";
import { waitsForEach } from "./waiting.js";

const STATES = ["queued", "running", "settled"] as const;
const LISTED = 50;
const MOST_LISTED = 200;
/** What a query says of which invocations are meant. */
export const FILTERS = ["function", "outcome", "since", "until", "cursor"] as const;

/** `GET /v1/invocations` */
export async function listInvocations(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const { query } = request;
	const state = wordFrom(query["state"], "state", STATES);
	const dead = flagFrom(query["dead"], "dead", false);
	const wanted = { ...wantedFrom(request, project), dead, ...(state === undefined ? {} : { state }) };
	const { records, before } = await listed(wanted, countFrom(query["limit"], "limit", 1, MOST_LISTED) ?? LISTED, services);
	const waits = await waitsForEach(records, services);
	const invocations = records.map((record, at) => ({ ...summaryOf(record), ...(waits[at] === undefined ? {} : { waitsFor: waits[at] }) }));
	response.json({ invocations, ...(before === undefined ? {} : { cursor: before }) } satisfies InvocationList);
}

/** Of a function that isn't there nothing is listed, unless something of it is left. @throws BerthError function_not_found */
export async function listed(wanted: Wanted, limit: number, { invocations, functions }: Services): Promise<Page> {
	const page = await invocations.list(wanted, limit);
	const { project, function: name } = wanted;
	if (page.records.length === 0 && name !== undefined && (await functions.getFunction(project, name)) === undefined)
		throw functionNotFound(name);
	return page;
}

/** By the filters of a query. @throws BerthError invalid_request, invalid_name */
export function wantedFrom({ query }: Request, project: string): Wanted {
	const name = query["function"] === undefined ? undefined : nameFrom(query["function"], "function");
	const outcome = wordFrom(query["outcome"], "outcome", OUTCOMES);
	const [sinceMs, untilMs] = [timeFrom(query["since"], "since"), timeFrom(query["until"], "until")];
	const before = query["cursor"];
	if (before !== undefined && (typeof before !== "string" || !INVOCATION_ID.test(before)))
		throw wrongQuery("cursor", "what the list before said");
	return {
		project,
		...(name === undefined ? {} : { function: name }),
		...(outcome === undefined ? {} : { outcome }),
		...(sinceMs === undefined ? {} : { sinceMs }),
		...(untilMs === undefined ? {} : { untilMs }),
		...(before === undefined ? {} : { before }),
	};
}
