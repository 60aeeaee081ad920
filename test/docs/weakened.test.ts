import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { planOf } from "../security/weakened/plan.js";
import type { Edit } from "../security/weakened/weakening.js";
import { WEAKENINGS } from "../security/weakened/weakenings.js";
import { ROOT } from "./pages.js";

const plan = planOf();
const EDITS = Object.values(WEAKENINGS).flatMap((one) => ("edits" in one ? one.edits : []));

test("every weakening is of the source as it is: what it changes is there, once", async () => {
	const { edited } = (await import(join(ROOT, "scripts/weakened/tree.mjs"))) as { edited: (source: string, edit: Edit) => string };
	for (const edit of EDITS) expect(edited(readFileSync(join(ROOT, edit[0]), "utf8"), edit)).toContain(edit[2]);
});

test("every protection that can be taken away has an attack that gets through without it, alone or with those that would do as well", () => {
	const noticed = new Set(plan.filter(({ falls }) => falls.length > 0).flatMap(({ protections }) => protections));
	const taken = Object.entries(WEAKENINGS).flatMap(([name, one]) => ("edits" in one ? [name] : []));
	expect(taken.filter((name) => !noticed.has(name as keyof typeof WEAKENINGS))).toEqual([]);
});

// What a run writes: npm run test:weakened -- --write
test("docs/weakened.md has what was run for each of them, and why the others weren't", async () => {
	const { pageOf } = (await import(join(ROOT, "scripts/weakened/report.mjs"))) as {
		pageOf: (outcomes: readonly object[], kept: readonly unknown[]) => string;
	};
	const page = readFileSync(join(ROOT, "docs/weakened.md"), "utf8");
	const runs = [...page.matchAll(/\| (\d+|–) \| (\d{4}-\d\d-\d\d|not yet) \|$/gm)];
	const outcomes = plan.map((trial, at) => ({ ...trial, seconds: runs[at]?.[1], at: runs[at]?.[2] ?? "" }));
	const kept = Object.entries(WEAKENINGS).flatMap(([name, one]) => ("reason" in one ? [[name, one.reason]] : []));
	expect(page).toBe(pageOf(outcomes, kept));
});
