import { BerthError, type ErrorCode, type FieldIssue } from "@berth/contracts";
import type { z } from "zod";

const CLOSE_ENOUGH = 3;

/**
 * Checks a value against a schema. @throws BerthError with one issue per field that is wrong; a field
 * that isn't known comes with the known one that looks most like it
 */
export function validate<Schema extends z.ZodObject>(schema: Schema, value: unknown, code: ErrorCode): z.output<Schema> {
	const parsed = schema.safeParse(value);
	if (parsed.success) return parsed.data;
	const issues = parsed.error.issues.flatMap((issue) => issuesOf(issue, Object.keys(schema.shape)));
	const detail = issues.map(({ field, message }) => `${field}: ${message}`).join("; ");
	throw new BerthError(code, detail.slice(0, 2000), { issues });
}

function issuesOf(issue: z.core.$ZodIssue, known: readonly string[]): readonly FieldIssue[] {
	if (issue.code === "unrecognized_keys")
		return issue.keys.map((field) => ({ field, message: `there is no such field${suggestion(field, known)}` }));
	return [{ field: issue.path.length === 0 ? "body" : issue.path.join("."), message: issue.message }];
}

function suggestion(field: string, known: readonly string[]): string {
	const [best] = known
		.map((name) => ({ name, distance: distance(field.toLowerCase(), name.toLowerCase()) }))
		.sort((a, b) => a.distance - b.distance);
	return best !== undefined && best.distance <= CLOSE_ENOUGH ? `; did you mean ${best.name}?` : `; the fields are ${known.join(", ")}`;
}

/** Levenshtein's distance, of short words. */
function distance(a: string, b: string): number {
	if (a.length > 64) return Number.POSITIVE_INFINITY;
	let row = Array.from({ length: b.length + 1 }, (_, index) => index);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++) {
			const substituted = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
			next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, substituted));
		}
		row = next;
	}
	return row[b.length] as number;
}
