import { isIP } from "node:net";
import * as z from "zod";
import { ALIAS_RULE, isAliasName, LIVE } from "./alias.js";
import { ENCODINGS } from "./hooks/delivery.js";
import { type HeaderPairs, SCHEME_NAMES, type SchemeName, type SchemeSettings } from "./hooks/index.js";
import type { Outcome } from "./invocation.js";
import type { InvocationState } from "./invocation-record.js";
import { FIXED_LIMITS } from "./limits.js";
import { resourceName } from "./resource-name.js";
import { DAY_MS, HOUR_MS, KIB, MIB, SECOND_MS } from "./units.js";

/** What hooks and their logs may hold. */
export const HOOK_LIMITS = {
	/** Hooks of one function. */
	hooks: 32,
	/** Deliveries that ran, kept of one hook; and those that didn't: refused, filtered, repeated. */
	events: 1000,
	idleEvents: 200,
	/** Records and bodies of the former together, of one hook. */
	eventBytes: 64 * MIB,
	/** Headers kept of one delivery, names and values. */
	headerBytes: 8 * KIB,
	/** A query longer than that isn't let in: it is part of the record. */
	queryBytes: 4 * KIB,
	/** A body up to this size is kept in the record, where it is searched, too; of one that was refused, so much is kept at all. */
	inlineBodyBytes: 4 * KIB,
	/** An answer up to this size is given to each duplicate; of a larger one only the status is. */
	answerBytes: 16 * KIB,
	/** How long a delivery is remembered that was let in: as long as Stripe tries again (docs.stripe.com/webhooks), and as GitHub lets one redeliver. */
	rememberedMs: 3 * DAY_MS,
	/** Names and patterns of a hook's event filter, and networks of its allow-list. */
	filters: 100,
} as const;

const HEADER = "the name of a header";
const header = z
	.string(HEADER)
	.regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/, HEADER)
	.transform((name) => name.toLowerCase())
	.optional();
const PREFIX = "at most 50 printable characters";
const ALGORITHMS = ["sha1", "sha256", "sha512"] as const;

/** What of a scheme is its hook's to say. */
const settingsSchema = z.strictObject({
	header,
	prefix: z
		.string(PREFIX)
		.regex(/^[ -~]{0,50}$/, PREFIX)
		.optional(),
	algorithm: z.enum(ALGORITHMS, `one of ${ALGORITHMS.join(", ")}`).optional(),
	encoding: z.enum(ENCODINGS, `one of ${ENCODINGS.join(", ")}`).optional(),
	timestampHeader: header,
	idHeader: header,
	eventHeader: header,
});

const SECRET = "8 to 256 printable characters, none of them a space at an end";
const secret = z.string(SECRET).regex(/^[!-~][ -~]{6,254}[!-~]$/, SECRET);
const EVENT = "1 to 100 printable characters; a * at the end stands for any rest";
const NETWORK = "an address or a network: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32";
const METHODS = ["POST", "PUT", "PATCH", "DELETE", "GET"] as const;
const RATE = 'as in {"limit": 100, "periodMs": 60000}, or null';
const STATUSES = [200, 202, 204] as const;
const wholeNumber = (min: number, max: number) => {
	const rule = `a whole number from ${min} to ${max}`;
	return z.int(rule).min(min, rule).max(max, rule);
};
const list = <Item extends z.ZodType>(item: Item) =>
	z.array(item, "a list").max(HOOK_LIMITS.filters, `at most ${HOOK_LIMITS.filters} of them`);

/** What of a hook can be changed after it was made; each with what it is when nothing is said. */
const changeable = {
	/** The alias whose version it invokes. */
	alias: z.string(ALIAS_RULE).refine(isAliasName, ALIAS_RULE),
	/** `background`: accepted when it is on disk, then run at least once. `sync`: answered by the function. */
	mode: z.enum(["background", "sync"], "background or sync"),
	/** What is answered in the background: 200, 202 or 204. */
	answerStatus: z.literal(STATUSES, `one of ${STATUSES.join(", ")}`),
	/** Events that are run; none: all. */
	events: list(z.string(EVENT).regex(/^[!-~][ -~]{0,99}$/, EVENT)),
	/** Addresses that may deliver; none: any. */
	allow: list(z.string(NETWORK).refine(isNetwork, NETWORK)),
	methods: z.array(z.enum(METHODS, `one of ${METHODS.join(", ")}`), "a list").min(1, "one at least"),
	maxBodyBytes: wholeNumber(1, FIXED_LIMITS.bodyBytes),
	/** How much a signed timestamp may be off, milliseconds. */
	toleranceMs: wholeNumber(SECOND_MS, HOUR_MS),
	/** What is done with a delivery that was let in before: it gets the answer of the first, or runs again. */
	duplicates: z.enum(["answer", "run"], "answer or run"),
	/** How many deliveries that are let in may run in a period of time; null: as many as come. */
	rate: z.strictObject({ limit: wholeNumber(1, 1_000_000), periodMs: wholeNumber(SECOND_MS, DAY_MS) }, RATE).nullable(),
	/** What of its scheme is its own to say. */
	settings: settingsSchema,
} as const;

/** `POST /v1/functions/{name}/hooks` */
export const hookInputSchema = z.strictObject({
	/** Unique among the function's; default: the scheme's. */
	name: resourceName.optional(),
	scheme: z.enum(SCHEME_NAMES, `one of ${SCHEME_NAMES.join(", ")}`),
	/** Default: one is made, unless the provider makes it. */
	secret: secret.optional(),
	alias: changeable.alias.default(LIVE),
	mode: changeable.mode.default("background"),
	answerStatus: changeable.answerStatus.default(202),
	events: changeable.events.default([]),
	allow: changeable.allow.default([]),
	methods: changeable.methods.default(["POST"]),
	maxBodyBytes: changeable.maxBodyBytes.default(FIXED_LIMITS.bodyBytes),
	toleranceMs: changeable.toleranceMs.optional(),
	duplicates: changeable.duplicates.default("answer"),
	rate: changeable.rate.default(null),
	settings: changeable.settings.default({}),
});
export type HookInput = z.input<typeof hookInputSchema>;
export type CheckedHookInput = z.output<typeof hookInputSchema>;

/** `PATCH /v1/functions/{name}/hooks/{hook}`: what is named is changed. */
export const hookChangesSchema = z.strictObject(changeable).partial();
export type HookChanges = z.input<typeof hookChangesSchema>;
export type CheckedHookChanges = z.output<typeof hookChangesSchema>;

/** `POST …/hooks/{hook}/rotate` */
export const rotationSchema = z.strictObject({
	/** Default: one is made, unless the provider makes it. */
	secret: secret.optional(),
	/** How long the one before is good, too, milliseconds. */
	overlapMs: wholeNumber(0, 7 * DAY_MS).default(DAY_MS),
});
export type Rotation = z.input<typeof rotationSchema>;

const SINCE = "a time, as in 2026-11-25T10:00:00Z";
/** `POST …/hooks/{hook}/redeliver` */
export const redeliverySchema = z.strictObject({ since: z.iso.datetime({ offset: true, error: SINCE }) });

/** So many deliveries in so long, milliseconds. */
export interface HookRate {
	readonly limit: number;
	readonly periodMs: number;
}

/** A hook: a URL at which a provider's deliveries become invocations of a function. */
export interface Hook {
	readonly name: string;
	readonly function: string;
	/** Its URL below the gateway's: `/hook/…`. Whoever is to deliver has to know it. */
	readonly path: string;
	readonly scheme: SchemeName;
	readonly alias: string;
	readonly mode: "background" | "sync";
	readonly answerStatus: 200 | 202 | 204;
	readonly events: readonly string[];
	readonly allow: readonly string[];
	readonly methods: readonly string[];
	readonly maxBodyBytes: number;
	/** Where the scheme has a timestamp. */
	readonly toleranceMs?: number;
	readonly duplicates: "answer" | "run";
	/** Null or absent: as many as come. */
	readonly rate?: HookRate | null;
	readonly settings: SchemeSettings;
	/** ISO 8601: since when it has its secret; absent: it has none, and lets nobody in unless its scheme has none. */
	readonly secretSetAt?: string;
	/** ISO 8601: until when the secret before is good, too. */
	readonly previousSecretUntil?: string;
	readonly createdAt: string;
	readonly updatedAt: string;
}

/** A new hook, or a new secret: the one time that a secret which was made here is shown. */
export interface HookWithSecret extends Hook {
	readonly secret?: string;
}

/** `GET /v1/functions/{name}/hooks` */
export interface HookList {
	readonly hooks: readonly Hook[];
}

/** What became of a delivery. */
export const HOOK_RESULTS = [
	/** It is being run, and its sender waits. */
	"running",
	/** Its function answered. */
	"answered",
	/** It is an invocation in the background. */
	"queued",
	/** It got no good answer: its sender may try again, and it can be redelivered. */
	"failed",
	/** Nobody can say: the gateway that had it is gone. */
	"lost",
	/** Its sender asked whether somebody listens. */
	"challenge",
	/** It was let in before. */
	"duplicate",
	/** The hook's filter doesn't have its event. */
	"filtered",
	/** It came too soon after too many others. */
	"limited",
	/** It wasn't let in. */
	"refused",
] as const;
export type HookResult = (typeof HOOK_RESULTS)[number];

/** One delivery, as a hook's log has it. */
export interface HookEvent {
	readonly id: string;
	readonly function: string;
	readonly hook: string;
	/** Grows with each change in a hook's log: what `after` and `before` count by. */
	readonly revision: number;
	/** ISO 8601. */
	readonly at: string;
	readonly result: HookResult;
	/** Why it was refused, or failed. */
	readonly reason?: string;
	/** What happened, and what the delivery is called, in its sender's words. */
	readonly event?: string;
	readonly deliveryId?: string;
	/** The address that it came from. */
	readonly from: string;
	readonly method: string;
	/** With its `?`; empty: none. */
	readonly query: string;
	/** Those with a secret are redacted. */
	readonly headers: HeaderPairs;
	/** Some are left out: there were too many. */
	readonly headersCut?: true;
	readonly bodyBytes: number;
	/** The status that its sender got. */
	readonly status?: number;
	readonly durationMs?: number;
	readonly invocation?: string;
	readonly version?: number;
	/** Of the invocation, as far as it is, while its record is kept. */
	readonly state?: InvocationState;
	readonly outcome?: Outcome;
	readonly duplicateOf?: string;
	readonly redeliveryOf?: string;
	/** The event that this one was redelivered as. */
	readonly redeliveredAs?: string;
}

/** `GET …/hooks/{hook}/events/{event}` */
export interface HookEventDetail extends HookEvent {
	/** Absent: it was removed to make room, or not kept. */
	readonly body?: { readonly text: string } | { readonly base64: string };
}

/** `GET …/hooks/{hook}/events`, newest first. */
export interface HookEventList {
	readonly events: readonly HookEvent[];
	/** For `before`, to go on; absent: there are no older ones. */
	readonly before?: number;
}

/** `POST …/redeliver`: 202 */
export interface Redelivery {
	readonly redelivered: readonly { readonly event: string; readonly as: string; readonly invocation: string }[];
	/** Those that couldn't be: their bodies are kept no more, or somebody else redelivers them. */
	readonly skipped: readonly { readonly event: string; readonly reason: string }[];
}

/** Tells a function that an invocation came over one of its hooks, verified, and which event of its log it is. Nobody else can say it. */
export const HOOK_HEADERS = { hook: "berth-hook", event: "berth-hook-event" } as const;

/** An address, or one and how many of its bits count. */
export function isNetwork(text: string): boolean {
	const [address = "", bits, ...more] = text.split("/");
	const family = isIP(address);
	if (family === 0 || more.length > 0 || address.includes("%")) return false;
	return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
