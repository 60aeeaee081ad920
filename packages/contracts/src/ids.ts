import { createHash, randomFillSync } from "node:crypto";

/** Names of projects and functions. */
export const NAME_PATTERN = /^[a-z][a-z0-9-]{0,62}$/;
export const NAME_RULE = "1 to 63 characters: a lower-case letter, then lower-case letters, digits or hyphens";

/** The project that exists from the first start. */
export const DEFAULT_PROJECT = "default";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const TIME_DIGITS = 10;
const RANDOM_BYTES = 10;
const pool = new Uint8Array(RANDOM_BYTES * 256);
let used = pool.length;

/**
 * A new id: `prefix_`, ten characters of time (milliseconds, base 32, so that ids sort by time)
 * and sixteen of randomness (80 bits).
 */
export function newId(prefix: "inv" | "gw" | "node" | "sb" | "bld" | "job" | "req" | "tr" | "evt" | "key", nowMs = Date.now()): string {
	if (used === pool.length) {
		randomFillSync(pool);
		used = 0;
	}
	const text = `${timeDigits(nowMs)}${digitsOf(pool, used)}`;
	used += RANDOM_BYTES;
	return `${prefix}_${text}`;
}

/** The id of the invocation that something becomes at a time: the same for whoever asks. @param of says which thing it is */
export function derivedId(of: string, atMs: number): string {
	return `inv_${timeDigits(atMs)}${digitsOf(createHash("sha256").update(`${of} ${atMs}`).digest(), 0)}`;
}

function timeDigits(atMs: number): string {
	let text = "";
	for (let time = atMs; text.length < TIME_DIGITS; time = Math.floor(time / 32)) text = ALPHABET[time % 32] + text;
	return text;
}

/** Twenty bits at a time: four digits of two and a half bytes. */
function digitsOf(bytes: Uint8Array, from: number): string {
	let text = "";
	for (let i = from; i < from + RANDOM_BYTES; i += 5) {
		const [a, b, c, d, e] = [bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3], bytes[i + 4]] as Five;
		text += fourDigits((a << 12) | (b << 4) | (c >> 4)) + fourDigits(((c & 15) << 16) | (d << 8) | e);
	}
	return text;
}

type Five = readonly [number, number, number, number, number];

function fourDigits(bits: number): string {
	return `${ALPHABET[bits >> 15]}${ALPHABET[(bits >> 10) & 31]}${ALPHABET[(bits >> 5) & 31]}${ALPHABET[bits & 31]}`;
}

/** The time in an id, in milliseconds since the epoch; undefined if it isn't one of ours. */
export function timeOfId(id: string): number | undefined {
	const body = id.slice(id.indexOf("_") + 1);
	if (body.length !== 26) return undefined;
	let time = 0;
	for (const char of body.slice(0, TIME_DIGITS)) {
		const digit = ALPHABET.indexOf(char);
		if (digit < 0) return undefined;
		time = time * 32 + digit;
	}
	return time;
}

/** What the ids of a moment begin with: those made before it sort before it. */
export function idStartOf(prefix: "inv", atMs: number): string {
	return newId(prefix, Math.max(0, Math.floor(atMs))).slice(0, prefix.length + 1 + TIME_DIGITS);
}

/** The id of an invocation. */
export const INVOCATION_ID = /^inv_[0-9a-z]{26}$/;
