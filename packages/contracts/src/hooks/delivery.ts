import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { MINUTE_MS, SECOND_MS } from "../units.js";

/** Names in lower case; several values of one name are several pairs. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[];

/** A delivery as it came: what is verified is the very bytes. */
export interface SignedDelivery {
	readonly headers: HeaderPairs;
	readonly body: Uint8Array;
}

/** What a delivery is, once it is verified. */
export interface Verified {
	readonly verified: true;
	/**
	 * What this delivery has in common with each repetition of it, by someone who can't sign: any one of them makes a
	 * duplicate. None: it can't be told from others.
	 */
	readonly identities: readonly string[];
	/** As its sender calls it. */
	readonly deliveryId?: string;
	/** What happened: `push`, `invoice.paid`. */
	readonly event?: string;
	/** Its sender wants to know that somebody listens who has the secret: the answer, instead of an invocation. */
	readonly challenge?: string;
}

/** Why a delivery isn't let in: a sentence for the hook's owner. Its sender isn't told. */
export interface Refused {
	readonly verified: false;
	readonly reason: string;
}

export type Verdict = Verified | Refused;

/** How much a signed timestamp may be off, as far as its sender's documentation doesn't say otherwise. */
export const TOLERANCE_MS = 5 * MINUTE_MS;

/** A header is read as it is compared: by one value. Ends the verification when thrown, as a refusal. */
export class Refusal extends Error {
	override readonly name = "Refusal";
}

/** Of a delivery that has it once. @throws Refusal */
export function theHeader(headers: HeaderPairs, name: string): string {
	const value = aHeader(headers, name);
	if (value === undefined) throw new Refusal(`${name} is missing`);
	return value;
}

/** Of a delivery that may have it, and not twice: who reads the other one would see something else. @throws Refusal */
export function aHeader(headers: HeaderPairs, name: string): string | undefined {
	const found = headers.filter(([each]) => each === name);
	if (found.length > 1) throw new Refusal(`${name} is there ${found.length} times`);
	return found[0]?.[1];
}

/** @param parts of what is signed, in their order */
export function hmac(
	algorithm: "sha1" | "sha256" | "sha512",
	secret: string | Uint8Array,
	parts: readonly (string | Uint8Array)[],
): Buffer {
	const computed = createHmac(algorithm, secret);
	for (const part of parts) computed.update(part);
	return computed.digest();
}

/** In a time that says nothing about where they differ, nor, but for hashing, about their lengths. */
export function isSame(a: string | Uint8Array, b: string | Uint8Array): boolean {
	const digestOf = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest();
	return timingSafeEqual(digestOf(a), digestOf(b));
}

/** Whether one of the secrets makes one of the signatures. All are tried, so that the time doesn't say which. */
export function isSignedWith(
	secrets: readonly (string | Uint8Array)[],
	signatures: readonly Uint8Array[],
	sign: (secret: string | Uint8Array) => Uint8Array,
): boolean {
	let found = false;
	for (const secret of secrets) {
		const expected = sign(secret);
		for (const signature of signatures) if (isSame(expected, signature)) found = true;
	}
	return found;
}

export const ENCODINGS = ["hex", "base64", "base64url"] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** Undefined where the text isn't exactly what these bytes are written as: Node's own decoder skips what it doesn't know. */
export function decoded(text: string, encoding: Encoding): Buffer | undefined {
	const bytes = Buffer.from(text, encoding);
	const canonical = encoding === "hex" ? text.toLowerCase() : text;
	return bytes.toString(encoding) === canonical ? bytes : undefined;
}

/** Seconds since the epoch, near enough to now. @returns the text as it was signed. @throws Refusal */
export function recent(text: string, what: string, nowMs: number, toleranceMs: number): string {
	if (!/^\d{1,12}$/.test(text)) throw new Refusal(`${what} isn't a time in seconds since 1970`);
	const ageMs = nowMs - Number(text) * SECOND_MS;
	if (Math.abs(ageMs) <= toleranceMs) return text;
	const off = `${Math.round(Math.abs(ageMs) / SECOND_MS)} s ${ageMs > 0 ? "old" : "in the future"}`;
	throw new Refusal(`${what} is ${off}; ${toleranceMs / SECOND_MS} s are allowed`);
}

/** A string of a verified body that is JSON; undefined where it isn't, or has none of that name. */
export function stringsIn(body: Uint8Array): (...path: readonly string[]) => string | undefined {
	let value: unknown;
	try {
		value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"));
	} catch {
		value = undefined;
	}
	return (...path) => {
		let found = value;
		for (const name of path) found = isRecord(found) && Object.hasOwn(found, name) ? found[name] : undefined;
		return typeof found === "string" ? found : undefined;
	};
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null;
}
