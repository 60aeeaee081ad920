import { BerthError, newId, type Problem, problemOf, SECOND_MS } from "@berth/contracts";
import type { Logger } from "@berth/telemetry";
import type { ErrorRequestHandler, Request, RequestHandler, Response } from "express";

/** How long a client may go on sending what was refused: closed at once, it might never read why. Milliseconds. */
const LINGER_MS = 2 * SECOND_MS;

/** The one place where an error becomes an HTTP answer. */
export function problemHandler(log: Logger): ErrorRequestHandler {
	return (error: unknown, request, response, next) => {
		if (response.headersSent) {
			next(error);
			return;
		}
		const known = asBerthError(error);
		const instance = `urn:berth:request:${newId("req")}`;
		if (known.entry.fault === "platform") {
			log.error({ err: error, method: request.method, path: request.path, instance }, known.message);
		}
		if (!request.complete) discardRest(request, response);
		sendProblem(response, problemOf(known.code, known.message, known.issues, { ...known.extra, instance }));
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

/** What is still coming of a refused body is thrown away; a client that doesn't end it is cut off. */
function discardRest(request: Request, response: Response): void {
	request.removeAllListeners("data");
	request.resume();
	response.once("finish", () => {
		if (request.complete) return;
		const late = setTimeout(() => request.destroy(), LINGER_MS);
		request.once("end", () => clearTimeout(late)).once("close", () => clearTimeout(late));
	});
}

function asBerthError(error: unknown): BerthError {
	if (error instanceof BerthError) return error;
	// Express refuses a path whose percent-encoding is broken.
	if (error instanceof URIError) return new BerthError("invalid_request", "the path isn't properly percent-encoded");
	return new BerthError("platform_error", "Berth failed; its log says more", { cause: error });
}
