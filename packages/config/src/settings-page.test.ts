import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { settingsSchema } from "./settings-table.js";

const PAGE = join(import.meta.dirname, "../../../docs/settings.md");

/** The rows of the page's first table: name, and the default in backquotes or in words. */
function documented(): readonly (readonly string[])[] {
	const rows = readFileSync(PAGE, "utf8").matchAll(/^\| `((?:BERTH|OTEL)_\w+)` \| .+ \| .+ \| (.+) \|$/gm);
	return [...rows].map((row) => row.slice(1, 3));
}

test("docs/settings.md has every setting, in order, with its default, and no other", () => {
	const defaults: Readonly<Record<string, unknown>> = settingsSchema.parse({});
	const shown = documented();
	expect(shown.map(([name]) => name)).toEqual(Object.keys(settingsSchema.shape));
	for (const [name = "", text] of shown) {
		if (defaults[name] === undefined) expect(text).not.toContain("`");
		else expect(text).toBe(`\`${defaults[name]}\``);
	}
});
