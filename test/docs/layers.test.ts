import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "./pages.js";

test("docs/ARCHITECTURE.md has every package with what it may import, as npm run verify checks it", async () => {
	const { MAY_IMPORT } = (await import(join(ROOT, "scripts/verify/direction.mjs"))) as {
		MAY_IMPORT: Readonly<Record<string, readonly string[]>>;
	};
	const page = readFileSync(join(ROOT, "docs/ARCHITECTURE.md"), "utf8");
	const rows = [...page.matchAll(/^\| `(\w+)` \| [^|]+ \| (nothing|`\w+`(?:, `\w+`)*) \|$/gm)];
	const documented = Object.fromEntries(
		rows.map(([, name, list]) => [name, list === "nothing" ? [] : list?.replace(/`/g, "").split(", ")]),
	);
	expect(documented).toEqual(MAY_IMPORT);
});
