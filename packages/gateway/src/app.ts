import { BerthError } from "@berth/contracts";
import express, { type Express, type Request, type RequestHandler, type Response } from "express";
import { Invocations } from "./invocations.js";
import { openApiDocument } from "./openapi.js";
import { noSuchPath, problemHandler } from "./problems.js";
import { expressPath, type Route, routes } from "./routes.js";
import type { Services } from "./services.js";

/** The gateway as an Express application: its routes, then what answers for everything else. */
export function createApp(services: Services): Express {
	const app = express();
	app.disable("x-powered-by");
	app.disable("etag");
	app.set("query parser", "simple");
	const all = routes(new Invocations(services));
	for (const route of all) app[route.method](expressPath(route.path), handlerOf(route, services));
	const document = JSON.stringify(openApiDocument(all));
	app.get("/openapi.json", (_request, response) => {
		response.type("application/json").send(document);
	});
	for (const path of new Set(all.map((route) => route.path))) app.all(expressPath(path), refuseMethod(all, path));
	app.use(noSuchPath);
	app.use(problemHandler(services.log));
	return app;
}

function handlerOf(route: Route, services: Services): RequestHandler {
	const { metrics } = services;
	return async (request: Request, response: Response) => {
		const startedAt = performance.now();
		response.once("close", () => metrics.answered(route.path, response.statusCode, (performance.now() - startedAt) / 1000));
		await route.serve(request, response, services);
	};
}

function refuseMethod(all: readonly Route[], path: string): RequestHandler {
	const allowed = all
		.filter((route) => route.path === path)
		.map(({ method }) => method.toUpperCase())
		.join(", ");
	return (request, response) => {
		response.setHeader("allow", allowed);
		throw new BerthError("method_not_allowed", `${request.method} isn't for this path; ${allowed} is`);
	};
}
