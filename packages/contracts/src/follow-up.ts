import * as z from "zod";
import { ALIAS_RULE, isAliasName } from "./alias.js";
import { NAME_PATTERN, NAME_RULE } from "./ids.js";
import { HOUR_MS, KIB, MINUTE_MS, SECOND_MS } from "./units.js";

/** Bounds of what follows a settlement. */
export const FOLLOW_UP_LIMITS = {
	urlChars: 2048,
	/** A result up to this size stands in a callback; of a larger one, where it is. */
	resultBytes: 256 * KIB,
	/** How long a callback's receiver may take to answer, milliseconds. */
	answerMs: 10 * SECOND_MS,
	/** Waits between the tries, milliseconds, a tenth more or less by chance: eight tries in all, over about a day. */
	waitsMs: [5 * SECOND_MS, MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 6 * HOUR_MS, 15 * HOUR_MS],
	/** The longest that a receiver's `Retry-After` is honoured for, milliseconds. */
	retryAfterMs: 15 * HOUR_MS,
} as const;

const CALLBACK = `a URL of at most ${FOLLOW_UP_LIMITS.urlChars} characters`;
const TARGET = `a function, or one of its aliases as function@alias: ${NAME_RULE}; an alias is ${ALIAS_RULE}`;
const target = z.string(TARGET).refine((text) => followTarget(text) !== undefined, TARGET);

/** What a manifest's `background` says of what follows a settlement. */
export const FOLLOW_UP_FIELDS = {
	/** Where settlements are posted, unless the request says otherwise. */
	callbackUrl: z.string(CALLBACK).max(FOLLOW_UP_LIMITS.urlChars, CALLBACK).optional(),
	/** The function that gets the settlement of what succeeded; and of what is given up. */
	onSuccess: target.optional(),
	onFailure: target.optional(),
} as const;

/** Functions that get a settlement: `name` or `name@alias`. */
export interface Follow {
	readonly onSuccess?: string;
	readonly onFailure?: string;
}

/** `waiting`: for the settlement, or for the next try. `failed`: it is given up; a callback can be sent once more by hand. */
export type FollowUpState = "waiting" | "delivered" | "failed";

/** How far what follows a settlement is. */
interface FollowUpRecord {
	readonly state: FollowUpState;
	/** Tries that were made. */
	readonly attempts: number;
	/** What went wrong with the last one. */
	readonly lastError?: string;
	/** ISO 8601: when it is tried again. */
	readonly nextAt?: string;
	/** ISO 8601: when it was delivered, or given up. */
	readonly endedAt?: string;
}

export interface CallbackRecord extends FollowUpRecord {
	readonly url: string;
	/** What the receiver answered last. */
	readonly lastStatus?: number;
}

export interface FollowerRecord extends FollowUpRecord {
	/** `name` or `name@alias`; absent until it is settled which. */
	readonly function?: string;
	readonly invocation?: string;
}

/** `GET /v1/callback-secret`, `POST /v1/callback-secret/rotate`: what the project's callbacks are signed with. */
export interface CallbackSecret {
	/** `whsec_` and base64, as Standard Webhooks have it. */
	readonly secret: string;
	/** ISO 8601. */
	readonly setAt: string;
	/** ISO 8601: until then callbacks are signed with the secret before, too. */
	readonly previousUntil?: string;
}

/** The name and alias of `name@alias`; undefined when it is neither that nor a name. */
export function followTarget(text: string): { readonly name: string; readonly alias?: string } | undefined {
	const [name = "", alias, ...more] = text.split("@");
	if (more.length > 0 || !NAME_PATTERN.test(name)) return undefined;
	if (alias === undefined) return { name };
	return isAliasName(alias) ? { name, alias } : undefined;
}
