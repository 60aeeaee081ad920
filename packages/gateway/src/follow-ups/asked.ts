import { BerthError, callbackUrlFault, HEADERS, type InvocationRequest, type Version } from "@berth/contracts";
import type { Request } from "express";
import { eitherOf, onlyInBackground } from "../query.js";
import type { Services } from "../services.js";

/** What follows the settlement of a background invocation. */
export function followUpsOf(
	{ manifest: { background = {} } }: Version,
	callback = background.callbackUrl,
): Pick<InvocationRequest, "callback" | "follow"> {
	const { onSuccess, onFailure } = background;
	const follow = { ...(onSuccess === undefined ? {} : { onSuccess }), ...(onFailure === undefined ? {} : { onFailure }) };
	return { ...(callback === undefined ? {} : { callback }), ...(Object.keys(follow).length === 0 ? {} : { follow }) };
}

/** Where the caller wants the settlement posted, by the header or the query. @throws BerthError invalid_request */
export function callbackOf(request: Request, isAsync: boolean, { permissions }: Services): string | undefined {
	const { said: asked, field } = eitherOf(request, HEADERS.callbackUrl, "callbackUrl");
	if (asked === undefined) return undefined;
	const wrong = (message: string) => new BerthError("invalid_request", `${field}: ${message}`, { issues: [{ field, message }] });
	if (!isAsync) throw wrong(onlyInBackground(request));
	if (typeof asked !== "string") throw wrong("one URL is wanted");
	const fault = callbackUrlFault(asked, permissions.callbackHosts);
	if (fault !== undefined) throw wrong(fault);
	return asked;
}
