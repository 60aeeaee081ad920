import { expect, test } from "vitest";
import { momentIn } from "./time.js";

test.each([
	["2026-12-24T18:00:00Z", "2026-12-24T18:00:00.000Z"],
	["2026-12-24t18:00z", "2026-12-24T18:00:00.000Z"],
	["2026-12-24T18:00:00.25+01:30", "2026-12-24T16:30:00.250Z"],
])("%s is a moment", (text, iso) => expect(new Date(momentIn(text) ?? Number.NaN).toISOString()).toBe(iso));

test.each(["Dec 24", "5", "2026-11-26 05:00", "2026-12-24", "2026-12-24T18:00:00", "2026-02-30T18:00:00Z", "2026-12-24T18:00:00 Z", ""])(
	"%j is none: no date is guessed, and no zone",
	(text) => expect(momentIn(text)).toBeUndefined(),
);
