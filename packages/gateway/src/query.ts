import { BerthError, momentIn } from "@berth/contracts";
import type { Request } from "express";

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
	const time = typeof text === "string" ? momentIn(text) : undefined;
	if (time !== undefined) return time;
	throw wrongQuery(field, "a time as in 2026-11-26T00:00:00Z");
}

/** One of some words. @throws BerthError invalid_request */
export function wordFrom<Word extends string>(text: unknown, field: string, words: readonly Word[]): Word | undefined {
	if (text === undefined) return undefined;
	const found = words.find((word) => word === text);
	if (found !== undefined) return found;
	throw wrongQuery(field, `one of ${words.join(", ")}`);
}

/**
 * What may be said by a header or by the query, and by which of them it was. @param header lower case
 * @throws BerthError invalid_request when both say something, and not the same
 */
export function eitherOf(
	{ headers, query }: Request,
	header: string,
	parameter: string,
): { readonly said: unknown; readonly field: string } {
	const [first, second] = [headers[header], query[parameter]];
	if (first !== undefined && second !== undefined && first !== second) throw contradiction(header, parameter);
	return first === undefined ? { said: second, field: parameter } : { said: first, field: header };
}

/** What is wrong with a field that only background invocations have, on a request for another one. */
export function onlyInBackground({ query }: Request): string {
	const what = "is for background invocations";
	return query["mode"] === "sync"
		? `${what}: leave it out, or say mode=async instead of mode=sync`
		: `${what}: send Prefer: respond-async, too`;
}

export function contradiction(header: string, parameter: string): BerthError {
	const message = `the header ${header} and ?${parameter}= say different things; send one of them`;
	return new BerthError("invalid_request", message, { issues: [header, parameter].map((field) => ({ field, message })) });
}

export function wrongQuery(field: string, message: string): BerthError {
	return new BerthError("invalid_request", `${field}: ${message} is wanted`, { issues: [{ field, message }] });
}
