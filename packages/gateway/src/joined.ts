import { BerthError, INVOKING_HEADER, type InvokingHead, JOINED_HEADER, type JoinedHead } from "@berth/contracts";
import express, { type Express } from "express";
import type { Invocations } from "./invocations.js";
import { problemHandler } from "./problems.js";
import type { Services } from "./services.js";

/**
 * What this node's worker asks in the name of functions, by `ctx.invoke` or on a network, over a socket that only the
 * service user may open: it says who asks whom, and has left nothing in the request that the function could have said so itself.
 */
export function createJoinedApp(invocations: Invocations, services: Services): Express {
	const app = express();
	app.disable("x-powered-by");
	app.disable("etag");
	app.use(async (request, response) => {
		const [invoking, joined] = [request.headers[INVOKING_HEADER], request.headers[JOINED_HEADER]];
		// With both, one of them may not be the worker's.
		if ((invoking === undefined) === (joined === undefined))
			throw new BerthError("invalid_request", `either ${INVOKING_HEADER} or ${JOINED_HEADER} says who asks`);
		if (invoking !== undefined) await invocations.invoking(request, response, JSON.parse(String(invoking)) as InvokingHead);
		else await invocations.joined(request, response, JSON.parse(String(joined)) as JoinedHead);
	});
	app.use(problemHandler(services.log));
	return app;
}
