import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BerthError, ERRORS, type ErrorCode, problemOf } from "./errors.js";
import { OUTCOMES } from "./invocation.js";

const PAGE = join(import.meta.dirname, "../../../docs/errors.md");

/** The rows of the page: code, status, fault, retryable. */
function documented(): readonly (readonly string[])[] {
	const rows = readFileSync(PAGE, "utf8").matchAll(/^\| `(\w+)` \| (\d+) \| (\w+) \| (yes|no) \| (.+) \| (.+) \|$/gm);
	return [...rows].map((row) => row.slice(1, 5));
}

test("docs/errors.md has every code of the catalogue with what it is, and no other", () => {
	const catalogue = Object.entries(ERRORS).map(([code, { status, fault, retryable }]) => [
		code,
		String(status),
		fault,
		retryable ? "yes" : "no",
	]);
	expect(documented()).toEqual(catalogue);
});

test("every outcome but success has a code of its own", () => {
	for (const outcome of OUTCOMES) if (outcome !== "succeeded") expect(ERRORS).toHaveProperty(outcome);
});

describe("the catalogue", () => {
	test.each(Object.entries(ERRORS))("%s: status and fault agree", (_, { status, fault, title }) => {
		if (fault === "caller") expect(status).toBeLessThan(500);
		if (fault === "function") expect(status).toBeGreaterThanOrEqual(502);
		if (fault === "platform") expect(status === 429 || status >= 500).toBe(true);
		expect(title).toMatch(/^[A-Z].*\.$/);
	});
});

test("a problem is what RFC 9457 wants, and what comes with it can't change that", () => {
	const issues = [{ field: "a", message: "b" }];
	const problem = problemOf("too_busy" satisfies ErrorCode, "later", issues, { status: 200, code: "x", instance: "urn:x", limit: 1 });
	expect(problem).toEqual({
		type: "urn:berth:error:too_busy",
		title: ERRORS.too_busy.title,
		status: 429,
		detail: "later",
		instance: "urn:x",
		code: "too_busy",
		fault: "caller",
		retryable: true,
		issues,
		limit: 1,
	});
	expect(problemOf("not_found", "x")).not.toHaveProperty("issues");
});

test("an error of ours keeps its cause", () => {
	const cause = new Error("deep");
	const error = new BerthError("unavailable", "no Redis", { cause });
	expect(error).toMatchObject({ name: "BerthError", message: "no Redis", code: "unavailable", issues: [], extra: {}, cause });
	expect(error.entry).toBe(ERRORS.unavailable);
});
