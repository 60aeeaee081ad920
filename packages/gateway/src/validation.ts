import { BerthError, type ErrorCode, type FieldIssue, nearestWord } from "@berth/contracts";
import * as z from "zod";

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
	const byField = new Map<string, FieldIssue>();
	for (const issue of parsed.error.issues.flatMap((each) => issuesOf(each, schema, subject))) {
		// What isn't of its type may be too short as well; the first says it.
		if (!byField.has(issue.field)) byField.set(issue.field, issue);
		if (byField.size === MOST_ISSUES) break;
	}
	const issues = [...byField.values()];
	const detail = issues.map(({ field, message }) => `${field}: ${message}`).join("; ");
	throw new BerthError(code, detail.slice(0, 2000), { issues });
}

function issuesOf(issue: z.core.$ZodIssue, schema: z.ZodObject, { whole, elsewhere = {} }: Subject): readonly FieldIssue[] {
	if (issue.code === "unrecognized_keys") {
		const known = fieldsAt(schema, issue.path);
		return issue.keys.slice(0, MOST_ISSUES).map((key) => {
			const message =
				issue.path.length === 0 && Object.hasOwn(elsewhere, key)
					? (elsewhere[key] as string)
					: `there is no such field${suggestion(key, known)}`;
			return { field: pathText([...issue.path, key]), message };
		});
	}
	if (issue.path.length === 0) return [{ field: whole, message: "a JSON object is wanted here" }];
	const field = pathText(issue.path);
	return [{ field, message: (issue.code === "invalid_key" ? issue.issues[0]?.message : undefined) ?? issue.message }];
}

function pathText(path: readonly PropertyKey[]): string {
	return path.map((part) => (part === "" ? '""' : String(part).slice(0, SHOWN_CHARS))).join(".");
}

/** The fields that an object has at a place of what is checked; none where it isn't known. */
function fieldsAt(schema: z.ZodObject, path: readonly PropertyKey[]): readonly string[] {
	let at: unknown = schema;
	for (const part of path) {
		at = bare(at);
		if (at instanceof z.ZodObject) at = at.shape[String(part)];
		else if (at instanceof z.ZodArray) at = at.element;
		else if (at instanceof z.ZodRecord) at = at.valueType;
		else return [];
	}
	at = bare(at);
	return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function bare(schema: unknown): unknown {
	let at = schema;
	while (at instanceof z.ZodOptional || at instanceof z.ZodNullable || at instanceof z.ZodDefault) at = at.unwrap();
	return at;
}

function suggestion(field: string, known: readonly string[]): string {
	const meant = nearestWord(field, known);
	if (known.length === 0) return "";
	return meant === undefined ? `; the fields are ${known.join(", ")}` : `; did you mean ${meant}?`;
}
