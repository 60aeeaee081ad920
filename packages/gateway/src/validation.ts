import { BerthError, type ErrorCode, type FieldIssue, nearestWord } from "@berth/contracts";
import type { z } from "zod";

/** A name of its caller's may be long enough to be no message any more. */
const SHOWN_CHARS = 80;
/** More wrong fields than that are no help, and a body has room for a million. */
const MOST_ISSUES = 50;

/** What is checked. */
interface Subject {
	readonly code: ErrorCode;
	/** What the whole of it is called where it is no object at all. */
	readonly whole: string;
	/** What to say of a field that has its place elsewhere. */
	readonly elsewhere?: Readonly<Record<string, string>>;
}

/**
 * Checks a value against a schema. @throws BerthError with one issue per field that is wrong; a field
 * that isn't known comes with the known one that looks most like it
 */
export function validate<Schema extends z.ZodObject>(schema: Schema, value: unknown, subject: Subject): z.output<Schema> {
	const { code } = subject;
	const parsed = schema.safeParse(value);
	if (parsed.success) return parsed.data;
	const known = Object.keys(schema.shape);
	const byField = new Map<string, FieldIssue>();
	for (const issue of parsed.error.issues.flatMap((each) => issuesOf(each, known, subject))) {
		// What isn't of its type may be too short as well; the first says it.
		if (!byField.has(issue.field)) byField.set(issue.field, issue);
		if (byField.size === MOST_ISSUES) break;
	}
	const issues = [...byField.values()];
	const detail = issues.map(({ field, message }) => `${field}: ${message}`).join("; ");
	throw new BerthError(code, detail.slice(0, 2000), { issues });
}

function issuesOf(issue: z.core.$ZodIssue, known: readonly string[], { whole, elsewhere = {} }: Subject): readonly FieldIssue[] {
	if (issue.code === "unrecognized_keys") {
		return issue.keys.slice(0, MOST_ISSUES).map((key) => {
			const message = Object.hasOwn(elsewhere, key) ? (elsewhere[key] as string) : `there is no such field${suggestion(key, known)}`;
			return { field: key.slice(0, SHOWN_CHARS), message };
		});
	}
	if (issue.path.length === 0) return [{ field: whole, message: "a JSON object is wanted here" }];
	const field = issue.path.map((part) => (part === "" ? '""' : String(part).slice(0, SHOWN_CHARS))).join(".");
	return [{ field, message: (issue.code === "invalid_key" ? issue.issues[0]?.message : undefined) ?? issue.message }];
}

function suggestion(field: string, known: readonly string[]): string {
	const meant = nearestWord(field, known);
	return meant === undefined ? `; the fields are ${known.join(", ")}` : `; did you mean ${meant}?`;
}
