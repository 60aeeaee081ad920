import { BerthError, ERRORS } from "@berth/contracts";
import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler, type Response } from "express";
import { audited, isChange } from "./audit.js";
import { admit, hasKeyOf, principalOf } from "./auth.js";
import { hasKey, serveOnce } from "./idempotency/idempotency.js";
import type { Invocations } from "./invocations.js";
import { openApiDocument } from "./openapi.js";
import { noSuchPath, problemHandler } from "./problems.js";
import { countRequest } from "./rate-limit.js";
import type { Route } from "./route.js";
import { documentRoute, expressPath, routes } from "./routes.js";
import type { Services } from "./services.js";

/** The gateway as an Express application: its routes, then what answers for everything else. */
export function createApp(services: Services, invocations: Invocations): Express {
	const app = express();
	app.disable("x-powered-by");
	app.disable("etag");
	app.set("query parser", "simple");
	app.set("case sensitive routing", true);
	app.set("trust proxy", services.trustedProxies.length === 0 ? false : services.trustedProxies);
	app.use("/v1", wholePaths, plainBodies);
	const all = withDocument(routes(invocations));
	// One for all: what it has said of one route it doesn't say again of another.
	const problems = problemHandler(services.log);
	for (const route of all) app[route.method](expressPath(route.path), handlerOf(route, services, problems));
	for (const path of new Set(all.map((route) => route.path))) app.all(expressPath(path), otherMethods(all, path));
	app.use(noSuchPath);
	app.use(problems);
	return app;
}

function handlerOf(route: Route, services: Services, problems: ErrorRequestHandler): RequestHandler {
	const { metrics } = services;
	return async (request: Request, response: Response) => {
		const startedAt = performance.now();
		response.once("close", () => {
			const status = response.writableFinished ? response.statusCode : ERRORS.cancelled.status;
			metrics.answered(route.path, status, (performance.now() - startedAt) / 1000);
		});
		// Express would try all other routes on its way to its handler of errors, and refusals have to be cheap.
		await answered(request, response).catch((error: unknown) => problems(error, request, response, () => undefined));
	};
	async function answered(request: Request, response: Response): Promise<void> {
		const { scope } = route;
		if (scope === "metrics") {
			if (!hasKeyOf(request, services.metricsKeys)) await admit(request, scope, services.keys);
		} else if (scope !== "none" && scope !== "public") {
			await admit(request, scope, services.keys);
			// Who looks after quotas is never kept out by one.
			const { project, holder } = principalOf(request);
			if (scope !== "operator") await countRequest(project, response, services, holder);
		}
		if (route.path.startsWith("/v1/")) checkQuery(request.query, route.query ?? []);
		const serve = () => served(route, request, response, services);
		const once = () => (hasKey(route, request) ? serveOnce(request, response, services, serve, problems) : serve());
		if (isChange(route)) await audited(request, response, services, once);
		else await once();
	}
}

async function served(route: Route, request: Request, response: Response, services: Services): Promise<void> {
	try {
		await route.serve(request, response, services);
	} catch (error) {
		// Where the records were lost, that a function isn't among them says nothing.
		if (error instanceof BerthError && error.code === "function_not_found") await services.functions.store.requireKnown();
		throw error;
	}
}

/** @throws BerthError invalid_request for a name of a query that nothing reads, or that is there twice */
function checkQuery(query: Request["query"], known: readonly string[]): void {
	const unknown = Object.keys(query).find((name) => !known.includes(name));
	if (unknown === undefined) {
		const twice = known.find((name) => Array.isArray(query[name]));
		if (twice === undefined) return;
		const again = "it is there more than once; say it once";
		throw new BerthError("invalid_request", `${twice}: ${again}`, { issues: [{ field: twice, message: again }] });
	}
	const field = unknown.slice(0, 80);
	const message = known.length === 0 ? "this path takes no query" : `this path takes ${known.join(", ")} in its query`;
	throw new BerthError("invalid_request", `${JSON.stringify(field)} isn't known: ${message}`, { issues: [{ field, message }] });
}

/** The routes and the one that lists them all. */
function withDocument(listed: readonly Route[]): readonly Route[] {
	const all = [...listed, documentRoute((_request, response) => void response.type("application/json").send(document))];
	const document = JSON.stringify(openApiDocument(all));
	return all;
}

/** A body in another coding than its type says would be stored, parsed or handed on as what it isn't; below `/fn` it is the function's. */
const plainBodies: RequestHandler = ({ headers }, response, next) => {
	const coding = headers["content-encoding"] ?? "identity";
	if (coding.toLowerCase() === "identity") return next();
	response.setHeader("accept-encoding", "identity");
	throw new BerthError("unsupported_media_type", `content-encoding: ${coding.slice(0, 100)} isn't taken here: send the body as it is`);
};

/** `/v1/dead-letters/` is no way to say `/v1/dead-letters`, which purges all of them: a name is missing. */
const wholePaths: RequestHandler = (request, response, next) => {
	if (request.path.length > 1 && request.path.endsWith("/")) noSuchPath(request, response, next);
	else next();
};

/** `OPTIONS` says which methods a path has; what it hasn't is refused. */
function otherMethods(all: readonly Route[], path: string): RequestHandler {
	const methods = all.filter((route) => route.path === path).map(({ method }) => method.toUpperCase());
	const allowed = [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].join(", ");
	return (request, response) => {
		response.setHeader("allow", allowed);
		if (request.method !== "OPTIONS") throw new BerthError("method_not_allowed", `${request.method} isn't for this path; ${allowed} are`);
		response.status(204).end();
	};
}
