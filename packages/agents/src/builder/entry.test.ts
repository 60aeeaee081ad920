import { expect, test } from "vitest";
import { findEntry, type SourceLanguage } from "./entry.js";

const files = (...paths: readonly string[]) => paths.map((path) => ({ path, bytes: Buffer.alloc(0) }));

test.each<[string, SourceLanguage, readonly string[], string]>([
	[
		"Python",
		"node",
		["index.py", "requirements.txt"],
		"With the manifest's `runtime` python3 (`berth deploy --runtime python3`) it is index.py.",
	],
	[
		"a program's",
		"node",
		["bootstrap", "lib.sh"],
		"With the manifest's `runtime` custom (`berth deploy --runtime custom`) it is bootstrap.",
	],
	["Node's", "python", ["src/index.ts"], "With the manifest's `runtime` node24 (`berth deploy --runtime node24`) it is src/index.ts."],
	["of no known kind", "node", ["readme.md"], "Name it in the manifest's `entry`."],
])("a source that is %s, deployed as another's, says what would find its handler", (_what, language, paths, advice) => {
	const found = findEntry(files(...paths), undefined, language);
	expect(found).toEqual(expect.stringContaining(advice));
	expect(found).toEqual(expect.stringContaining(`the source has ${paths.join(", ")}`));
});
