import { BerthError, type ErrorCode, type FieldIssue, nearestWord } from "@berth/contracts";
import type { z } from "zod";

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
	const field = issue.path.length === 0 ? "body" : issue.path.join(".");
	if (issue.code !== "unrecognized_keys") return [{ field, message: issue.message }];
	return issue.keys.map((key) => ({ field: key, message: `there is no such field${suggestion(key, known)}` }));
}

function suggestion(field: string, known: readonly string[]): string {
	const meant = nearestWord(field, known);
	return meant === undefined ? `; the fields are ${known.join(", ")}` : `; did you mean ${meant}?`;
}
