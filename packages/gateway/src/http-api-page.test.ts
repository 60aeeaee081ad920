import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ERRORS, HEADERS, manifestSchema, OUTCOMES } from "@berth/contracts";
import { expect, test } from "vitest";
import type { Invocations } from "./invocations.js";
import { documentRoute, routes } from "./routes.js";

const PAGE = readFileSync(join(import.meta.dirname, "../../../docs/http-api.md"), "utf8");

const firstCells = (pattern: RegExp) => [...PAGE.matchAll(pattern)].map((row) => row.slice(1));

test("docs/http-api.md has every route, with the scope it needs, and no other", () => {
	const all = [...routes({} as Invocations), documentRoute(() => undefined)];
	const said: Readonly<Record<string, string>> = { public: "`invoke` unless public", none: "no key" };
	const served = all.map(({ method, path, scope }) => [method.toUpperCase(), path, said[scope] ?? `\`${scope}\``]);
	const documented = firstCells(/^\| `([A-Z]+) (\/\S*)` \| (no key|`\w+`(?: unless public)?) \| /gm);
	expect(documented.sort()).toEqual(served.sort());
});

test("and every field of a manifest with its default", () => {
	const defaults: Readonly<Record<string, unknown>> = manifestSchema.parse({});
	const table = PAGE.slice(PAGE.indexOf("| field |"), PAGE.indexOf("```sh", PAGE.indexOf("| field |")));
	const rows = [...table.matchAll(/^\| `(\w+)` \| .+ \|(?: (.+))? \|$/gm)].map(([, field, text]) => [
		field,
		text?.replace(/`/g, "").trim(),
	]);
	expect(rows.map(([field]) => field).sort()).toEqual(Object.keys(manifestSchema.shape).sort());
	for (const [field, text] of rows) {
		const value = defaults[field as string];
		if (value !== undefined) expect([field, text]).toEqual([field, typeof value === "object" ? JSON.stringify(value) : String(value)]);
	}
});

test("and every outcome with its status", () => {
	const documented = firstCells(/^\| `(\w+)` \| (\d{3})(?:,[^|]*)? \| /gm);
	expect(documented).toEqual(OUTCOMES.map((outcome) => [outcome, outcome === "succeeded" ? "200" : String(ERRORS[outcome].status)]));
});

test("and every header of ours", () => {
	for (const header of Object.values(HEADERS)) expect(PAGE.toLowerCase()).toContain(`| \`${header}`);
});
