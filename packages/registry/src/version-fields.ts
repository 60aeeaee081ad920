import { createHash } from "node:crypto";
import {
	type Alias,
	BerthError,
	canonicalJson,
	type FunctionSummary,
	LIVE,
	type Manifest,
	type SourceReference,
	type Version,
	type VersionState,
	wholeVersionOf,
} from "@berth/contracts";

/** A hash as Redis gives it. */
export type Fields = Readonly<Record<string, string>>;

/** The same for equal deploys: of this source, under this manifest. */
export function fingerprintOf(manifest: Manifest, { digest, filename, kind }: SourceReference): string {
	return createHash("sha256").update(canonicalJson({ manifest, digest, filename, kind })).digest("hex");
}

/** A function out of its hash; undefined when there is none. */
export function summaryOf(project: string, name: string, fields: Fields): FunctionSummary | undefined {
	const { latest, createdAt, updatedAt } = fields;
	if (latest === undefined || createdAt === undefined || updatedAt === undefined) return undefined;
	const aliases = aliasesOf(fields);
	const live = aliases.find((alias) => alias.name === LIVE);
	return {
		project,
		name,
		...(live === undefined ? {} : { live: mainVersionOf(live) }),
		aliases,
		latest: Number(latest),
		createdAt,
		updatedAt,
	};
}

const ALIAS_FIELD = "alias:";
const ALIAS_SHAPE = 1;

/** An alias as the scripts write it (alias-scripts.ts). */
interface StoredAlias {
	readonly shape: number;
	readonly weights: Readonly<Record<string, number>>;
	readonly follows: boolean;
	readonly steps?: readonly number[];
	readonly updatedAt: string;
}

/** The aliases in a function's hash, `live` first. @throws BerthError platform_error when a newer Berth wrote one */
export function aliasesOf(fields: Fields): readonly Alias[] {
	const found = Object.entries(fields)
		.filter(([field]) => field.startsWith(ALIAS_FIELD))
		.map(([field, text]) => aliasOf(field.slice(ALIAS_FIELD.length), JSON.parse(text) as StoredAlias));
	const { live, updatedAt = "" } = fields;
	// Before there were aliases, `live` was a number and followed every deploy.
	if (live !== undefined && !found.some(({ name }) => name === LIVE))
		found.push({ name: LIVE, weights: { [live]: 100 }, follows: true, updatedAt });
	const rank = ({ name }: Alias) => (name === LIVE ? "" : name);
	return found.sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

function aliasOf(name: string, { shape, weights, follows, steps = [], updatedAt }: StoredAlias): Alias {
	if (shape !== ALIAS_SHAPE) throw new BerthError("platform_error", `the alias ${name} was written by another Berth (shape ${shape})`);
	const previous = steps.findLast((step) => step !== wholeVersionOf({ weights }));
	return { name, weights, follows, ...(previous === undefined ? {} : { previous }), updatedAt };
}

/** The version with the largest share; of equals the newest. */
function mainVersionOf({ weights }: Alias): number {
	const shares = Object.entries(weights).map(([number, percent]) => ({ number: Number(number), percent }));
	return shares.reduce((main, one) =>
		one.percent > main.percent || (one.percent === main.percent && one.number > main.number) ? one : main,
	).number;
}

/** A version out of its hash; undefined when there is none. */
export function versionOf(project: string, name: string, number: number, fields: Fields): Version | undefined {
	const { base, state, fingerprint: _, rank: __, rebasedTo: ___, counted: ____, ...rest } = fields;
	if (base === undefined || state === undefined) return undefined;
	const parsed = Object.fromEntries(Object.entries(rest).map(([field, value]) => [field, JSON.parse(value) as unknown]));
	return {
		project,
		function: name,
		number,
		state: state as VersionState,
		...(JSON.parse(base) as Pick<Version, "manifest" | "source" | "createdAt" | "noCache" | "rebasedFrom">),
		...parsed,
	};
}
