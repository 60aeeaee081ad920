import { INVOKING_HEADER, type InvokingHead, JOINED_HEADER, type JoinedHead } from "@berth/contracts";
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
		const asked = request.headers[INVOKING_HEADER];
		if (asked !== undefined) await invocations.invoking(request, response, JSON.parse(String(asked)) as InvokingHead);
		else await invocations.joined(request, response, JSON.parse(String(request.headers[JOINED_HEADER])) as JoinedHead);
	});
	app.use(problemHandler(services.log));
	return app;
}
