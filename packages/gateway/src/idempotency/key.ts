import { createHash } from "node:crypto";
import { allows, BerthError, HEADERS, type InvokingHead, idempotencyKeyIn } from "@berth/contracts";
import type { Request } from "express";
import type { Principal } from "../auth.js";

const RULE = "1 to 255 printable characters without spaces, as they are or in quotes";

/** Headers that make another request of the same body. */
const TELLING = ["content-type", "prefer", HEADERS.timeoutMs, HEADERS.callbackUrl, HEADERS.runAt, HEADERS.manifest] as const;

/** What a request is served once by. */
export interface Keyed {
	readonly project: string;
	readonly key: string;
	/** What tells it from another one under the same key, beside its body. */
	readonly told: readonly unknown[];
}

/** A request of a project's, by its header. Answers differ by whether a key may read: what such a one was answered is no other's repetition. @throws BerthError invalid_request */
export function keyedBy(request: Request, { project, holder }: Principal): Keyed {
	const key = idempotencyKeyIn(String(request.headers[HEADERS.idempotencyKey]));
	if (key === undefined) {
		throw new BerthError("invalid_request", `${HEADERS.idempotencyKey}: ${RULE}`, {
			issues: [{ field: HEADERS.idempotencyKey, message: RULE }],
		});
	}
	const told = [request.method, request.originalUrl, ...TELLING.map((name) => request.headers[name] ?? null)];
	return { project, key, told: allows(holder.scopes, "read") ? told : [...told, "unread"] };
}

/** What a function asks of another one: keys are its own, apart from those of other functions and of requests, which have no line end. */
export function keyedAmong(request: Request, key: string, { project, parent, function: name, async, timeoutMs }: InvokingHead): Keyed {
	const told = ["invoke", name, async, timeoutMs ?? null, request.headers["content-type"] ?? null];
	return { project, key: `${parent.function}\n${key}`, told };
}

export function fingerprintOf({ told }: Keyed, body: Uint8Array): string {
	return createHash("sha256").update(JSON.stringify(told)).update("\n").update(body).digest("base64url");
}
