import { BerthError, INVOKING_HEADER, type InvokingHead, JOINED_HEADER, type JoinedHead } from "@berth/contracts";
import express, { type Express, type Request, type Response } from "express";
import { serveUnder } from "./idempotency/idempotency.js";
import { keyedAmong } from "./idempotency/key.js";
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
	const problems = problemHandler(services.log);
	const invoke = async (request: Request, response: Response, asked: InvokingHead) => {
		const { idempotencyKey } = asked;
		const serve = () => invocations.invoking(request, response, asked);
		if (idempotencyKey === undefined) return await serve();
		await serveUnder(keyedAmong(request, idempotencyKey, asked), request, response, services, serve, problems);
	};
	app.use(async (request, response) => {
		const [invoking, joined] = [request.headers[INVOKING_HEADER], request.headers[JOINED_HEADER]];
		// With both, one of them may not be the worker's.
		if ((invoking === undefined) === (joined === undefined))
			throw new BerthError("invalid_request", `either ${INVOKING_HEADER} or ${JOINED_HEADER} says who asks`);
		if (invoking !== undefined) await invoke(request, response, JSON.parse(String(invoking)) as InvokingHead);
		else await invocations.joined(request, response, JSON.parse(String(joined)) as JoinedHead);
	});
	app.use(problems);
	return app;
}
