import { isUtf8 } from "node:buffer";
import type { OutgoingHttpHeaders } from "node:http";
import { BerthError, FIXED_LIMITS, HEADERS, KIB, newId } from "@berth/contracts";
import { type HeldKey, IdempotencyKeys } from "@berth/registry";
import type { ErrorRequestHandler, Request, Response } from "express";
import { principalOf } from "../auth.js";
import type { Route } from "../route.js";
import type { Services } from "../services.js";
import { Capture } from "./capture.js";
import { fingerprintOf, type Keyed, keyedBy } from "./key.js";

/** An answer up to this size is stored; of a larger one only that there was one. */
const MOST_BYTES = 256 * KIB;
/** Up to this size it is stored in Redis, else among the results. */
const INLINE_BYTES = 4 * KIB;
/** What a key takes of the durable Redis with such an answer, about. */
const KEPT_BYTES = INLINE_BYTES + KIB;
/** When a repetition may come again whose first is being served, seconds. */
const RETRY_AFTER = "1";

/** An answer as it was given. */
interface Answer {
	readonly status: number;
	readonly headers: OutgoingHttpHeaders;
	readonly text?: string;
	readonly base64?: string;
}

/** An answer as it is stored, sealed, or where that is. */
type StoredAnswer = { readonly sealed: string } | { readonly payload: string } | { readonly unkept: string; readonly invocation?: string };

/** Which invocation a request under a key is, should it be accepted in the background. Absent: the request has no key. */
const claims = new WeakMap<Response, string>();

/** Streams that ended well: their heads went before anybody knew. */
const succeeded = new WeakSet<Response>();

/** Says how a streamed answer ended, for those who get it again. */
export function noteSucceeded(response: Response): void {
	succeeded.add(response);
}

/** The id for what this request accepts in the background; undefined: any new one. */
export function claimedId(response: Response): string | undefined {
	return claims.get(response);
}

/** Whether its answer is stored, so that it is wanted also when its client is gone. */
export function isKept(response: Response): boolean {
	return claims.has(response);
}

/** Whether a request says that it may be a repetition, on a route that does something. Below `/fn` the header is the function's. */
export function hasKey({ method, path, shownOnce }: Route, request: Request): boolean {
	return method === "post" && shownOnce === undefined && path.startsWith("/v1/") && request.headers[HEADERS.idempotencyKey] !== undefined;
}

/**
 * Serves a request under its key: the first one is served, and its answer stored before the last byte of it goes out; a repetition gets that answer.
 * What was refused before anything was done leaves the key as it was.
 * @throws BerthError idempotency_in_progress, idempotency_mismatch, idempotency_gone, storage_full, unauthorized, invalid_request
 */
export async function serveOnce(
	request: Request,
	response: Response,
	services: Services,
	serve: () => Promise<void>,
	problems: ErrorRequestHandler,
): Promise<void> {
	await serveUnder(keyedBy(request, principalOf(request)), request, response, services, serve, problems);
}

/** The same under a key that doesn't come with it. */
export async function serveUnder(
	keyed: Keyed,
	request: Request,
	response: Response,
	services: Services,
	serve: () => Promise<void>,
	problems: ErrorRequestHandler,
): Promise<void> {
	const { idempotency, invocations, bodies } = services;
	const body = await bodies.read(request, FIXED_LIMITS.bodyBytes);
	const refusal = await invocations.memoryRefusal(KEPT_BYTES);
	const claim = await idempotency.claim(keyed.project, keyed.key, fingerprintOf(keyed, body), newId("inv"), refusal === undefined);
	if (claim.kind === "refused") throw refusal;
	if (claim.kind === "mismatch")
		throw new BerthError("idempotency_mismatch", "another request was sent with this key: send this one with a key of its own");
	if (claim.kind === "running") {
		response.setHeader("retry-after", RETRY_AFTER);
		throw new BerthError("idempotency_in_progress", "the first request with this key isn't answered yet; its answer is there when it is");
	}
	if (claim.kind === "answered") return await replay(response, claim.id, JSON.parse(claim.answer) as StoredAnswer, services);
	bodies.keep(request, body);
	claims.set(response, claim.invocation);
	await serveHeld(request, response, services, claim.held, serve, problems);
}

async function serveHeld(
	request: Request,
	response: Response,
	services: Services,
	held: HeldKey,
	serve: () => Promise<void>,
	problems: ErrorRequestHandler,
): Promise<void> {
	const { idempotency, log } = services;
	const capture = new Capture(response, MOST_BYTES);
	const late = (err: unknown) => log.warn({ err }, "an idempotency key couldn't be kept up");
	const renewing = setInterval(() => void idempotency.renew(held).catch(late), IdempotencyKeys.renewMs);
	try {
		const served = serve().catch((error: unknown) => {
			// What fails after a whole answer was given doesn't take it back.
			if (capture.hasEnded) log.error({ err: error }, "what was left to do after an answer failed");
			else problems(error, request, response, () => undefined);
		});
		const isWhole = await capture.whole(served);
		// Redis may have taken what it didn't acknowledge: a repetition has to be the same invocation.
		if (response.statusCode === 503 && isUndone(response)) await idempotency.letGo(held);
		else if (isUndone(response)) await idempotency.release(held);
		else {
			doesntChange(response);
			await idempotency.answer(held, JSON.stringify(await stored(isWhole, capture, response, held, services)));
		}
	} catch (error) {
		late(error);
	} finally {
		clearInterval(renewing);
		capture.finish();
	}
}

/** Whether nothing was done: it was refused, by us, before anything began. What an invocation answers says of which version. */
function isUndone(response: Response): boolean {
	const { statusCode: status } = response;
	return !response.hasHeader(HEADERS.version) && ((status >= 400 && status < 500) || status === 503 || status === 507);
}

/** Whoever waits and asks again under the key gets the same problem: none says when. */
function doesntChange(response: Response): void {
	const isProblem = response.getHeader("content-type") === "application/problem+json";
	if (isProblem && !response.headersSent) response.removeHeader("retry-after");
}

async function stored(
	isWhole: boolean,
	capture: Capture,
	response: Response,
	held: HeldKey,
	{ artifacts, idempotency }: Services,
): Promise<StoredAnswer> {
	const { status, body, bytes } = capture;
	const id = response.getHeader(HEADERS.invocationId);
	const invocation = id === undefined ? {} : { invocation: String(id) };
	if (!isWhole) return { unkept: "was cut off in the middle", ...invocation };
	if (body === undefined) return { unkept: `had ${bytes} bytes, and up to ${MOST_BYTES} are kept`, ...invocation };
	const headers = { ...(succeeded.has(response) ? { [HEADERS.outcome]: "succeeded" } : {}), ...capture.headers };
	const answer: Answer = { status, headers, ...(isUtf8(body) ? { text: body.toString("utf8") } : { base64: body.toString("base64") }) };
	const sealed = idempotency.seal(held, JSON.stringify(answer));
	return sealed.length <= INLINE_BYTES ? { sealed } : { payload: await artifacts.results.put(Buffer.from(sealed), "durable") };
}

async function replay(response: Response, id: string, stored: StoredAnswer, { artifacts, idempotency }: Services): Promise<void> {
	if ("unkept" in stored) throw gone(stored.unkept, stored.invocation);
	const sealed = "sealed" in stored ? stored.sealed : (await artifacts.results.find(stored.payload))?.toString();
	if (sealed === undefined) throw gone("is kept no more: newer results needed its space");
	const text = idempotency.opened(id, sealed);
	if (text === undefined) throw gone("was sealed with another key than the one that is here now (BERTH_SECRETS_KEY, or secrets.key)");
	const { status, headers, ...body } = JSON.parse(text) as Answer;
	response.status(status);
	for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
	response.setHeader(HEADERS.idempotencyReplayed, "true");
	response.end(body.text ?? Buffer.from(body.base64 ?? "", "base64"));
}

function gone(why: string, invocation?: string): BerthError {
	const detail = `the request was served before, and isn't again; its answer ${why}`;
	return new BerthError("idempotency_gone", detail, { extra: invocation === undefined ? {} : { invocation } });
}
