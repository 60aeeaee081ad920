import * as z from "zod";

/** What the operator may bound a project by, with what is allowed: the unit is in the name. */
export const QUOTAS = {
	/** Functions that it has. */
	functions: { min: 0, max: 1_000_000, of: "functions" },
	/** Invocations in flight at once: those that somebody waits for, and those that run in the background. */
	concurrency: { min: 1, max: 100_000, of: "invocations at once" },
	/** Requests that its keys, public functions and hooks make, on and on. */
	requestsPerSecond: { min: 1, max: 1_000_000, of: "requests a second" },
	/** Of these at once, after a rest. Default: a second's. */
	burst: { min: 1, max: 10_000_000, of: "requests at once" },
	/** What the layers of its versions take on disk, each counted once; bases aren't among them. */
	imageMiB: { min: 0, max: 1 << 24, of: "MiB of images" },
	/** What the sandboxes may have that its functions have ready always (`pool.min`, of windows the most), on each node. */
	warmMiB: { min: 0, max: 1 << 24, of: "MiB of sandboxes that are always ready" },
	/** Background invocations that are queued, with what is still to follow others. */
	queued: { min: 1, max: 100_000_000, of: "background invocations" },
} as const;
export type QuotaName = keyof typeof QUOTAS;
export const QUOTA_NAMES = Object.keys(QUOTAS) as readonly QuotaName[];

/** What bounds a project; what is absent has no bound. */
export type Quotas = Readonly<Partial<Record<QuotaName, number>>>;

/** What was set for a project: `unlimited` where the default isn't. */
export type OwnQuotas = Readonly<Partial<Record<QuotaName, number | "unlimited">>>;

const RULES = Object.fromEntries(
	Object.entries(QUOTAS).map(([name, { min, max }]) => [
		name,
		`a whole number from ${min} to ${max}, "unlimited", or null for the default`,
	]),
) as Record<QuotaName, string>;

const change = (name: QuotaName) => {
	const { min, max } = QUOTAS[name];
	return z
		.union([z.int(RULES[name]).min(min, RULES[name]).max(max, RULES[name]), z.literal("unlimited"), z.null()], RULES[name])
		.optional();
};

/** `PATCH /v1/projects/{name}`: what is named changes; null is the default again. */
export const quotaChangesSchema = z.strictObject({
	functions: change("functions"),
	concurrency: change("concurrency"),
	requestsPerSecond: change("requestsPerSecond"),
	burst: change("burst"),
	imageMiB: change("imageMiB"),
	warmMiB: change("warmMiB"),
	queued: change("queued"),
} satisfies Record<QuotaName, unknown>);
export type QuotaChanges = Readonly<Partial<Record<QuotaName, number | "unlimited" | null | undefined>>>;

/** A bound of a project beside what of it is used. */
export interface QuotaUse {
	/** Null: there is none. */
	readonly limit: number | null;
	/** Whether it was set for this project; else it is the default. */
	readonly own: boolean;
	/** Absent where there is nothing to count. */
	readonly used?: number;
}

/** What bounds a project: what was set for it, else the default. */
export function quotasOf(own: QuotaChanges, defaults: Quotas): Quotas {
	const limits = QUOTA_NAMES.map((name) => [name, own[name] ?? defaults[name]] as const);
	return Object.fromEntries(limits.filter(([, limit]) => typeof limit === "number"));
}
