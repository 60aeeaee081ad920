import { createHash } from "node:crypto";
import { BerthError, HEADERS } from "@berth/contracts";
import type { Request } from "express";

const RULE = "1 to 255 printable characters without spaces, as they are or in quotes";
const BARE = /^[!#-[\]-~]{1,255}$/;
const QUOTED = /^"((?:[!#-[\]-~]|\\["\\]){1,255})"$/;

/** Headers that make another request of the same body. */
const TELLING = ["content-type", "prefer", HEADERS.timeoutMs, HEADERS.callbackUrl, HEADERS.runAt, HEADERS.manifest] as const;

/**
 * The key that a request has (draft-ietf-httpapi-idempotency-key-header-07): a string as RFC 8941 writes it, in quotes, or the same without
 * them, as most clients send it. @throws BerthError invalid_request
 */
export function keyOf(request: Request): string {
	const text = String(request.headers[HEADERS.idempotencyKey]);
	const [, quoted] = QUOTED.exec(text) ?? [];
	if (quoted !== undefined) return quoted.replace(/\\(.)/g, "$1");
	if (BARE.test(text)) return text;
	throw new BerthError("invalid_request", `${HEADERS.idempotencyKey}: ${RULE}`, {
		issues: [{ field: HEADERS.idempotencyKey, message: RULE }],
	});
}

/** What tells a request from another one under the same key: where it goes, and what is asked. */
export function fingerprintOf(request: Request, body: Uint8Array): string {
	const told = [request.method, request.originalUrl, ...TELLING.map((name) => request.headers[name] ?? null)];
	return createHash("sha256").update(JSON.stringify(told)).update("\n").update(body).digest("base64url");
}
