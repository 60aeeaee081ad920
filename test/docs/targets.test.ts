import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "./pages.js";

interface Row {
	readonly what: string;
	readonly target: string;
}

test("SPECIFICATION.md has every target that npm run bench measures, in its order", async () => {
	const { rowsOf } = (await import(join(ROOT, "scripts/bench/rows.mjs"))) as { rowsOf: () => readonly Row[] };
	const page = readFileSync(join(ROOT, "SPECIFICATION.md"), "utf8");
	const part = page.slice(page.indexOf("| what | target |"), page.indexOf("<!-- /bench -->"));
	const rows = [...part.matchAll(/^\| (.+?) \| (.+?) \| .+ \| .* \| .* \|$/gm)].slice(2);
	expect(rows.map(([, what, target]) => ({ what, target }))).toEqual(rowsOf().map(({ what, target }) => ({ what, target })));
});
