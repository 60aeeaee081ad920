import type { HttpResponseHead, Settlement } from "@berth/contracts";
import { expect, test } from "vitest";
import { roughBytes } from "./interactive-records.js";
import { settlementOf } from "./testing/lanes.js";

test("a settlement is as large as what is sent of it, its headers and content type too: batches are bounded by that", () => {
	const headers: HttpResponseHead["headers"] = Array.from({ length: 200 }, (_, i) => [`x-${i}`, '"'.repeat(300)]);
	const settlement: Settlement = {
		...settlementOf("succeeded"),
		result: { body: { text: "" }, contentType: "x".repeat(50_000), response: { status: 200, headers } },
	};
	expect(roughBytes(settlement)).toBeGreaterThanOrEqual(JSON.stringify(settlement).length);
});
