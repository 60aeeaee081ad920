import { BerthError, INVOCATION_ID, type InvocationRecord } from "@berth/contracts";
import type { Request } from "express";
import { principalOf } from "./auth.js";
import { wrongQuery } from "./query.js";
import type { Services } from "./services.js";

/** The record that a path names, for a key of its project. @throws BerthError invocation_not_found */
export async function needRecord(request: Request, services: Services): Promise<InvocationRecord> {
	const record = await findRecord(request, services);
	if (record === undefined) throw noRecord(String(request.params["id"]));
	return record;
}

/** The same, if there is one. */
export async function findRecord(request: Request, { invocations }: Services): Promise<InvocationRecord | undefined> {
	const { project } = principalOf(request);
	const id = String(request.params["id"]);
	const record = INVOCATION_ID.test(id) ? await invocations.record(id) : undefined;
	return record?.project === project ? record : undefined;
}

export function noRecord(id: string): BerthError {
	return new BerthError(
		"invocation_not_found",
		`there is no record of ${JSON.stringify(id.slice(0, 64))}; what somebody waits for has one when it has ended; interactive successes are kept 10 minutes, dead letters a week, everything else a day unless the operator says otherwise. The oldest go before that where their project has more than BERTH_RECORDS_MIB of them, or where the durable Redis is three quarters full (\`berth doctor\` says so)`,
	);
}

/** An id out of a query. @throws BerthError invalid_request */
export function invocationIdFrom(text: unknown): string {
	if (typeof text === "string" && INVOCATION_ID.test(text)) return text;
	throw wrongQuery("invocation", "the id of an invocation: inv_ and 26 characters");
}
