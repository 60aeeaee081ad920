import { BerthError, type ErrorCode, newId, type Problem, problemOf, SECOND_MS } from "@berth/contracts";
import type { Logger } from "@berth/telemetry";
import type { ErrorRequestHandler, Request, RequestHandler, Response } from "express";

/** How long a client may go on sending what was refused: closed at once, it might never read why. Milliseconds. */
const LINGER_MS = 2 * SECOND_MS;

/** How long the same refusal isn't said again, milliseconds; and how many different ones are remembered. */
const SAID_MS = 10 * SECOND_MS;
const SAID_MOST = 100;

/** Statuses that a caller may wait for the end of, whoever knows for how long. */
const WAIT_STATUSES: ReadonlySet<number> = new Set([429, 503, 507]);

/** Refusing for want of room has to stay cheap, so it isn't logged; the metrics count it. Nor is anything else of which it is known when to come again. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(["too_busy", "queue_full", "node_full"]);

/** The one place where an error becomes an HTTP answer. */
export function problemHandler(log: Logger): ErrorRequestHandler {
	const seldom = new Seldom();
	// Express takes a function of four parameters for a handler of errors.
	return (error: unknown, request, response, _next) => {
		const known = asBerthError(error);
		const instance = `urn:berth:request:${newId("req")}`;
		if (known.entry.fault === "platform" && !REFUSALS.has(known.code) && known.extra?.["retryAfterMs"] === undefined) {
			const unsaid = known.code === "unavailable" ? seldom.say(known.message) : 0;
			if (unsaid !== undefined)
				log.error({ ...(unsaid > 0 && { unsaid }), err: error, method: request.method, path: request.path, instance }, known.message);
		}
		if (response.headersSent) {
			// What failed after a whole answer was given doesn't take it back.
			if (!response.writableEnded) response.destroy();
			return;
		}
		sendProblem(response, problemOf(known.code, known.message, known.issues, { ...known.extra, instance }));
	};
}

/** What everybody is refused with while a server is away is a line every ten seconds, with how many were the same since the last one. */
class Seldom {
	readonly #said = new Map<string, { atMs: number; unsaid: number }>();

	/** How many it wasn't said for since it was said last; undefined: it isn't said now. */
	say(message: string): number | undefined {
		const nowMs = performance.now();
		const last = this.#said.get(message);
		if (last !== undefined && nowMs - last.atMs < SAID_MS) {
			last.unsaid++;
			return undefined;
		}
		if (this.#said.size >= SAID_MOST) this.#said.clear();
		this.#said.set(message, { atMs: nowMs, unsaid: 0 });
		return last?.unsaid ?? 0;
	}
}

export function sendProblem(response: Response, problem: Problem): void {
	if (problem.code === "unauthorized") response.setHeader("www-authenticate", "Bearer");
	if (WAIT_STATUSES.has(problem.status) || typeof problem["retryAfterMs"] === "number")
		response.setHeader("retry-after", retryAfterOf(problem));
	const text = JSON.stringify(problem);
	response.status(problem.status).setHeader("content-type", "application/problem+json");
	response.setHeader("content-length", Buffer.byteLength(text));
	if (response.req.complete) response.end(text);
	else endLater(response.req, response, text);
}

/** Whole seconds, as HTTP has it (RFC 9110, 10.2.3); one where nobody knows better. */
function retryAfterOf({ retryAfterMs }: Problem): string {
	return String(typeof retryAfterMs === "number" ? Math.max(1, Math.ceil(retryAfterMs / SECOND_MS)) : 1);
}

/** For what no route matched. */
export const noSuchPath: RequestHandler = (request) => {
	throw new BerthError("not_found", `there is no ${request.path.slice(0, 200)}; GET /openapi.json lists what there is`);
};

/**
 * An answer to a request that is still coming. Its rest is read and thrown away, and the answer ended
 * only then: Node may close the connection as soon as it is, and what a client writes to a closed
 * connection resets it, the answer unread. Who doesn't end in time is cut off.
 */
function endLater(request: Request, response: Response, text: string): void {
	request.removeAllListeners("data");
	request.resume();
	response.write(text);
	const end = () => {
		clearTimeout(late);
		response.end();
	};
	const late = setTimeout(() => {
		response.end();
		request.destroy();
	}, LINGER_MS);
	request.once("end", end).once("close", end);
}

/** An error as it is answered. */
export function asBerthError(error: unknown): BerthError {
	if (error instanceof BerthError) return error;
	// Express refuses a path whose percent-encoding is broken.
	if (error instanceof URIError) return new BerthError("invalid_request", "the path isn't properly percent-encoded");
	return new BerthError("platform_error", "Berth failed; its log says more", { cause: error });
}
