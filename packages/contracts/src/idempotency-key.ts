/** What a key may be that makes repetitions of a request one. */
export const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;
export const IDEMPOTENCY_KEY_RULE = "1 to 255 printable characters of ASCII without spaces";

const BARE = /^[!#-[\]-~]{1,255}$/;
const QUOTED = /^"((?:[!#-[\]-~]|\\["\\]){1,255})"$/;

/**
 * The key in a header (draft-ietf-httpapi-idempotency-key-header-07): a string as RFC 8941 writes it, in quotes, or the same without
 * them, as most clients send it. Undefined when it is none.
 */
export function idempotencyKeyIn(text: string): string | undefined {
	const [, quoted] = QUOTED.exec(text) ?? [];
	if (quoted !== undefined) return quoted.replace(/\\(.)/g, "$1");
	return BARE.test(text) ? text : undefined;
}
