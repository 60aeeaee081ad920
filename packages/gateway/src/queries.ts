import { BerthError } from "@berth/contracts";

/** A whole number in a query, a path or a header. @throws BerthError invalid_request */
export function wholeFrom(text: unknown, field: string, min: number, max: number): number | undefined {
	if (text === undefined || text === "") return undefined;
	const number = typeof text === "string" && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
	if (number >= min && number <= max) return number;
	throw wrongField(field, `a whole number from ${min} to ${max}`);
}

/** One of some words. @throws BerthError invalid_request */
export function wordFrom<Word extends string>(text: unknown, field: string, words: readonly Word[]): Word | undefined {
	if (text === undefined) return undefined;
	const found = words.find((word) => word === text);
	if (found !== undefined) return found;
	throw wrongField(field, `one of ${words.join(", ")}`);
}

/** ISO 8601 with a time zone, or milliseconds since 1970. @throws BerthError invalid_request */
export function timeFrom(text: unknown, field: string): number | undefined {
	if (text === undefined) return undefined;
	if (typeof text === "string") {
		if (/^\d{12,15}$/.test(text)) return Number(text);
		const ms = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
		if (ms >= 0) return ms;
	}
	throw wrongField(field, "a time as 2026-11-25T12:00:00Z, or milliseconds since 1970");
}

export function wrongField(field: string, message: string): BerthError {
	return new BerthError("invalid_request", `${field}: ${message}`, { issues: [{ field, message }] });
}
