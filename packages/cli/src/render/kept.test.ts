import { HOUR_MS, manifestSchema, type SandboxInfo } from "@berth/contracts";
import { expect, test } from "vitest";
import { keptText, readyText, sandboxesText } from "./kept.js";

const sandbox = (more: Partial<SandboxInfo>) => ({ state: "frozen", ...more }) as SandboxInfo;

test("a sandbox says why it is there, and in how long it goes", () => {
	expect(keptText(sandbox({ kept: { why: "minimum" } }))).toBe("minimum");
	expect(keptText(sandbox({ kept: { why: "pattern", freeInMs: 185_000 } }))).toBe("pattern 3m 5s");
	expect(keptText(sandbox({ state: "busy" }))).toBe("-");
});

test("a version says how many it has ready, and how many there are", () => {
	const windows = [{ cron: "0 8 * * MON-FRI", timeZone: "Europe/Berlin", forMs: 10 * HOUR_MS, min: 4 }];
	expect(readyText(manifestSchema.parse({ pool: { min: 1, windows }, concurrency: 20 }))).toBe(
		'1 always, 4 from "0 8 * * MON-FRI" (Europe/Berlin) on for 10h; 20 at most',
	);
	expect(readyText(manifestSchema.parse({}))).toBe("0 always; 100 at most");
	const kept = { why: "minimum" } as const;
	expect(sandboxesText([sandbox({ state: "busy" }), sandbox({ kept }), sandbox({ kept })])).toBe("1 busy, 2 frozen (minimum)");
	expect(sandboxesText([])).toBe("");
});
