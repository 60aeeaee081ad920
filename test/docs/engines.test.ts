import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { describe, expect, it } from "vitest";
import { ENGINES, type EngineName } from "../conformance/engines.js";
import { PROMISES } from "../conformance/promises.js";
import { ROOT } from "./pages.js";

const NAMES = Object.keys(ENGINES) as EngineName[];

describe("docs/engines.md", () => {
	it("has a row for every promise of the conformance suite, with what is other than usual where an engine's is", () => {
		const page = readFileSync(join(ROOT, "docs/engines.md"), "utf8");
		const table = page.slice(page.indexOf("| promise | ")).split("\n\n")[0] ?? "";
		const [head, , ...rows] = table.split("\n").map((line) =>
			line
				.split("|")
				.slice(1, -1)
				.map((cell) => cell.trim()),
		);
		expect(head).toEqual(["promise", ...NAMES.map((name) => `\`${name}\``)]);
		expect(rows.map(([name]) => name)).toEqual(PROMISES.map(({ name }) => name));
		for (const [at, { name, expected }] of PROMISES.entries()) {
			const usual = expected(ENGINES["oci/crun"]);
			const seen = NAMES.map((engine) => isDeepStrictEqual(expected(ENGINES[engine]), usual));
			expect(
				rows[at]?.slice(1).map((cell) => cell === "✓"),
				name,
			).toEqual(seen);
		}
	});
});
