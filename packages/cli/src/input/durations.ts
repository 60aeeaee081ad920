import { HOUR_MS, MINUTE_MS, momentIn, SECOND_MS } from "@berth/contracts";
import { InvalidArgumentError } from "commander";

const DURATION = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)$/;
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS };

/** A time with its zone, as the API has it, or a duration from now. What reads like a time otherwise isn't guessed at. */
export function parseTime(text: string): Date {
	if (DURATION.test(text.trim())) return new Date(Date.now() + parseDurationMs(text));
	const atMs = momentIn(text.trim());
	if (atMs === undefined) throw new InvalidArgumentError("A time is as in 2026-12-24T18:00:00Z, or a duration from now as in 30s or 2h.");
	return new Date(atMs);
}

/** A duration as people write it (`500ms`, `30s`, `1.5m`, `1h`) in whole milliseconds. */
export function parseDurationMs(text: string): number {
	const match = DURATION.exec(text.trim());
	if (match === null) throw new InvalidArgumentError("A duration is a number and a unit: 500ms, 30s, 2m, 1h.");
	const ms = Number(match[1]) * (UNITS[match[2] as string] as number);
	if (!Number.isInteger(ms)) throw new InvalidArgumentError(`${text} isn't a whole number of milliseconds.`);
	return ms;
}
