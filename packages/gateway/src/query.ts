import { BerthError } from "@berth/contracts";
import { z } from "zod";

const TIME = z.iso.datetime({ offset: true });

/** @throws BerthError invalid_request */
export function countFrom(text: unknown, field: string, min: number, max: number): number | undefined {
	if (text === undefined) return undefined;
	const number = typeof text === "string" && /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
	if (number >= min && number <= max) return number;
	throw wrongQuery(field, `a whole number from ${min} to ${max}`);
}

/** Milliseconds since the epoch. @throws BerthError invalid_request */
export function timeFrom(text: unknown, field: string): number | undefined {
	if (text === undefined) return undefined;
	const time = TIME.safeParse(text);
	if (time.success) return Date.parse(time.data);
	throw wrongQuery(field, "a time as in 2026-11-26T00:00:00Z");
}

/** One of some words. @throws BerthError invalid_request */
export function wordFrom<Word extends string>(text: unknown, field: string, words: readonly Word[]): Word | undefined {
	if (text === undefined) return undefined;
	const found = words.find((word) => word === text);
	if (found !== undefined) return found;
	throw wrongQuery(field, `one of ${words.join(", ")}`);
}

export function wrongQuery(field: string, message: string): BerthError {
	return new BerthError("invalid_request", `${field}: ${message} is wanted`, { issues: [{ field, message }] });
}
