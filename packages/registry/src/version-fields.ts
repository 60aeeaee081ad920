import { createHash } from "node:crypto";
import {
	canonicalJson,
	type FunctionSummary,
	type Manifest,
	type SourceReference,
	type Version,
	type VersionState,
} from "@berth/contracts";

/** A hash as Redis gives it. */
export type Fields = Readonly<Record<string, string>>;

/** The same for equal deploys: of this source, under this manifest. */
export function fingerprintOf(manifest: Manifest, { digest, filename, kind }: SourceReference): string {
	return createHash("sha256").update(canonicalJson({ manifest, digest, filename, kind })).digest("hex");
}

/** A function out of its hash; undefined when there is none. */
export function summaryOf(project: string, name: string, fields: Fields): FunctionSummary | undefined {
	const { live, latest, createdAt, updatedAt } = fields;
	if (latest === undefined || createdAt === undefined || updatedAt === undefined) return undefined;
	return { project, name, ...(live === undefined ? {} : { live: Number(live) }), latest: Number(latest), createdAt, updatedAt };
}

/** A version out of its hash; undefined when there is none. */
export function versionOf(project: string, name: string, number: number, fields: Fields): Version | undefined {
	const { base, state, fingerprint: _, ...rest } = fields;
	if (base === undefined || state === undefined) return undefined;
	const parsed = Object.fromEntries(Object.entries(rest).map(([field, value]) => [field, JSON.parse(value) as unknown]));
	return {
		project,
		function: name,
		number,
		state: state as VersionState,
		...(JSON.parse(base) as Pick<Version, "manifest" | "source" | "createdAt">),
		...parsed,
	};
}
