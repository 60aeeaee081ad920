import { BerthError, type Problem, problemOf } from "@berth/contracts";
import type { Logger } from "@berth/telemetry";
import type { ErrorRequestHandler, RequestHandler, Response } from "express";

/** The one place where an error becomes an HTTP answer. */
export function problemHandler(log: Logger): ErrorRequestHandler {
	return (error: unknown, request, response, next) => {
		if (response.headersSent) {
			next(error);
			return;
		}
		const known = asBerthError(error);
		if (known.entry.fault === "platform") log.error({ err: error, method: request.method, path: request.path }, known.message);
		sendProblem(response, problemOf(known.code, known.message, known.issues, known.extra));
		// What wasn't read of a body that was refused would be taken for the next request.
		if (!request.complete) {
			response.once("finish", () => request.destroy());
		}
	};
}

export function sendProblem(response: Response, problem: Problem): void {
	if (problem.status === 401) response.setHeader("www-authenticate", "Bearer");
	if (problem.status === 429 || problem.status === 503) response.setHeader("retry-after", "1");
	response.status(problem.status).setHeader("content-type", "application/problem+json");
	response.end(JSON.stringify(problem));
}

/** For what no route matched. */
export const noSuchPath: RequestHandler = (request) => {
	throw new BerthError("not_found", `there is no ${request.path.slice(0, 200)}; GET /openapi.json lists what there is`);
};

function asBerthError(error: unknown): BerthError {
	if (error instanceof BerthError) return error;
	// Express refuses a path whose percent-encoding is broken.
	if (error instanceof URIError) return new BerthError("invalid_request", "the path isn't properly percent-encoded");
	return new BerthError("platform_error", "Berth failed; its log says more", { cause: error });
}
