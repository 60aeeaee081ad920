import * as z from "zod";
import { NAME_PATTERN, NAME_RULE } from "./ids.js";

/** The alias that every function has from its first ready version on, and that a bare name means. */
export const LIVE = "live";
/** What stands in place of versions for an alias that every newer ready version takes over. */
export const LATEST = "latest";
/** Aliases of one function, `live` included. */
export const MOST_ALIASES = 32;
/** Versions that one alias may be split over. */
export const MOST_SHARES = 10;

const VERSION = /^v?([1-9]\d{0,8})$/;
export const VERSION_RULE = "a version is a whole number from 1, as in 3 or v3";
export const ALIAS_RULE = `${NAME_RULE}; neither ${LATEST} nor what looks like a version, as v3`;

/** A movable name for versions of a function. */
export interface Alias {
	readonly name: string;
	/** Version → whole per cent of the invocations that it gets; they sum to 100. */
	readonly weights: Readonly<Record<string, number>>;
	/** Whether every newer version takes it over as soon as it is ready. What was set by hand, split or rolled back stays. */
	readonly follows: boolean;
	/** The version that a rollback would lead to; absent when there is none. */
	readonly previous?: number;
	/** ISO 8601: when it moved last. */
	readonly updatedAt: string;
}

/** An alias that was moved just now. */
export interface MovedAlias extends Alias {
	/** What whoever moved it should know: a version that it leads to crashes again and again. */
	readonly warnings?: readonly string[];
}

/** What of a function is meant: a version by its number, or whatever an alias leads to. */
export type Selector = { readonly alias: string } | { readonly version: number };

/** Whether an alias may be called that. */
export function isAliasName(text: string): boolean {
	return NAME_PATTERN.test(text) && text !== LATEST && !VERSION.test(text);
}

/** `3` or `v3` as a number; undefined for anything else. */
export function versionNumberOf(text: string): number | undefined {
	const digits = VERSION.exec(text)?.[1];
	return digits === undefined ? undefined : Number(digits);
}

/** What stands behind `name@`: a version or an alias; undefined when it is neither. */
export function selectorOf(text: string): Selector | undefined {
	const version = versionNumberOf(text);
	if (version !== undefined) return { version };
	return isAliasName(text) ? { alias: text } : undefined;
}

/** The version that an alias leads to with everything; undefined while it is split. */
export function wholeVersionOf({ weights }: Pick<Alias, "weights">): number | undefined {
	const [only, ...others] = Object.keys(weights);
	return only === undefined || others.length > 0 ? undefined : Number(only);
}

const SHARE = "a whole per cent from 1 to 100; a version that gets nothing is left out";
const WEIGHTS = 'per cents by version that sum to 100, as in {"3": 90, "4": 10}';

/** `PUT …/aliases/{alias}`: either field, not both. */
export const aliasInputSchema = z.strictObject({
	weights: z
		.record(z.string().regex(/^[1-9]\d{0,8}$/, "a version is a whole number from 1"), z.int(SHARE).min(1, SHARE).max(100, SHARE), WEIGHTS)
		.refine((weights) => Object.keys(weights).length <= MOST_SHARES, { message: `at most ${MOST_SHARES} versions` })
		.refine((weights) => Object.values(weights).reduce((sum, share) => sum + share, 0) === 100, { message: WEIGHTS })
		.optional(),
	follows: z.literal(true, "true, in place of weights: the newest ready version now, and every newer one").optional(),
});
/** Where an alias is to lead: to versions by weight, or always to the newest that is ready. */
export type AliasTarget = { readonly weights: Readonly<Record<string, number>> } | { readonly follows: true };
