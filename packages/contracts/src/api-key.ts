import * as z from "zod";
import { resourceName } from "./resource-name.js";
import { HOUR_MS, MINUTE_MS } from "./units.js";

/** What an API key may do in its project. */
export const SCOPES = ["read", "invoke", "deploy", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** What comes with a scope: who may replace a function's code learns nothing new by reading. */
const INCLUDED: Readonly<Record<Scope, readonly Scope[]>> = {
	read: ["read"],
	invoke: ["invoke"],
	deploy: ["deploy", "read"],
	admin: SCOPES,
};

/** Whether a key with these scopes may do what wants that one. */
export function allows(scopes: readonly Scope[], wanted: Scope): boolean {
	return scopes.some((scope) => INCLUDED[scope].includes(wanted));
}

/** API keys of one project. */
export const MOST_KEYS = 100;

/** How long a key that expires may be good for, milliseconds. */
export const KEY_LIFE_MS = { min: MINUTE_MS, max: 10 * 365 * 24 * HOUR_MS } as const;

/** Requests a second that a key may make, on and on, and as many at once after a rest. */
export const KEY_RATE = { min: 1, max: 1_000_000 } as const;

const EACH_SCOPE = `one of: ${SCOPES.join(", ")}`;
const SOME_SCOPES = `a list with at least one of: ${SCOPES.join(", ")}`;
const RATE = `requests a second, a whole number from ${KEY_RATE.min} to ${KEY_RATE.max}`;
const LIFE = `milliseconds, a whole number from ${KEY_LIFE_MS.min} to ${KEY_LIFE_MS.max}`;

/** `POST /v1/keys` */
export const apiKeyInputSchema = z.strictObject({
	name: resourceName,
	scopes: z.array(z.enum(SCOPES, EACH_SCOPE), SOME_SCOPES).min(1, SOME_SCOPES).max(SCOPES.length, "each scope once"),
	/** Absent: it is good until it is revoked. */
	expiresInMs: z.int(LIFE).min(KEY_LIFE_MS.min, LIFE).max(KEY_LIFE_MS.max, LIFE).optional(),
	/** Absent: it is bounded by its project alone. */
	ratePerSecond: z.int(RATE).min(KEY_RATE.min, RATE).max(KEY_RATE.max, RATE).optional(),
});
export type ApiKeyInput = z.input<typeof apiKeyInputSchema>;

/** An API key, without what lets in. */
export interface ApiKey {
	/** What records of changes call it: its name may be another key's later. */
	readonly id: string;
	readonly name: string;
	readonly project: string;
	readonly scopes: readonly Scope[];
	/** ISO 8601, as the others. */
	readonly createdAt: string;
	/** From then on it lets nobody in; absent: never. */
	readonly expiresAt?: string;
	/** Requests that it may make in a second, within what its project may; absent: as many as that. */
	readonly ratePerSecond?: number;
}

/** `POST /v1/keys`: with the key itself, which is shown this once. */
export interface NewApiKey extends ApiKey {
	readonly key: string;
}

/** `GET /v1/keys`, by name. */
export interface ApiKeyList {
	readonly keys: readonly ApiKey[];
}
