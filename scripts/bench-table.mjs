// Puts the table of a bench run into SPECIFICATION.md: `npm run bench:table [-- FILE]` (bench-results.json), or the bare targets: `-- --empty`.
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { writeBenchPart } from "./bench/specification.mjs";
import { ROOT } from "./setup/places.mjs";

try {
	const { values, positionals } = parseArgs({ options: { empty: { type: "boolean", default: false } }, allowPositionals: true });
	const file = positionals[0] === undefined ? join(ROOT, "bench-results.json") : resolve(positionals[0]);
	await writeBenchPart(values.empty ? undefined : JSON.parse(await readFile(file, "utf8")));
} catch (error) {
	process.stderr.write(`${error.message}\n`);
	process.exitCode = 1;
}
