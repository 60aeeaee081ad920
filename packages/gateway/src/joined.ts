import { JOINED_HEADER, type JoinedHead } from "@berth/contracts";
import express, { type Express } from "express";
import type { Invocations } from "./invocations.js";
import { problemHandler } from "./problems.js";
import type { Services } from "./services.js";

/**
 * What this node's worker asks in the name of functions on a network, over a socket that only the service user may
 * open: it says who asks whom, and has left nothing in the request that the function could have said so itself.
 */
export function createJoinedApp(invocations: Invocations, services: Services): Express {
	const app = express();
	app.disable("x-powered-by");
	app.disable("etag");
	app.use(async (request, response) => {
		const head = JSON.parse(String(request.headers[JOINED_HEADER])) as JoinedHead;
		await invocations.joined(request, response, head);
	});
	app.use(problemHandler(services.log));
	return app;
}
