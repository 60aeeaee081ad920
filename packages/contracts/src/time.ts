import * as z from "zod";

/** With seconds, or without. */
const WITH_ZONE = z.union([z.iso.datetime({ offset: true }), z.iso.datetime({ offset: true, precision: -1 })]);

/** The moment that a text names as in `2026-12-24T18:00:00Z`, milliseconds since the epoch; undefined where it has no zone, isn't in the calendar or is written otherwise. */
export function momentIn(text: string): number | undefined {
	const written = text.toUpperCase();
	return WITH_ZONE.safeParse(written).success ? Date.parse(written) : undefined;
}
