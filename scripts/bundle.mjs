// What a package's processes start: `node ../../scripts/bundle.mjs <name>=<module>…` makes `dist/programs/<name>.js` of each, in the package's directory, with all that it imports.
// Node takes longer to find modules by the hundred than to run them: half of what the start of a process costs.
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const OUT = "dist/programs";
/** As long as what is put in its place: no column moves. */
const NO_BUILD = "no-build";

const { outputFiles } = await build({
	entryPoints: Object.fromEntries(process.argv.slice(2).map((argument) => argument.split("="))),
	outdir: OUT,
	bundle: true,
	// What several of them, or none at first, import is in files of its own.
	splitting: true,
	platform: "node",
	format: "esm",
	target: "node24",
	// Native: it finds its library beside itself.
	external: ["koffi"],
	// For packages that are no modules.
	banner: {
		js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;',
	},
	// Less to read; names stay, and stacks are of the sources all the same: what finds them comes first in each, and needs no word of it in the bundle.
	minifyWhitespace: true,
	minifySyntax: true,
	// What Node shows of an error that nobody catches is the whole line that it was thrown in.
	lineLimit: 200,
	inject: [fileURLToPath(new URL("./bundled-stacks.mjs", import.meta.url))],
	sourcemap: "external",
	sourcesContent: false,
	logLevel: "warning",
	write: false,
});

// Bundles and maps of one build say so: what is built below a process that runs has maps of other bundles than its own.
const hash = createHash("sha256");
for (const { contents } of outputFiles) hash.update(contents);
const debugId = hash.digest("hex").slice(0, NO_BUILD.length);
rmSync(OUT, { recursive: true, force: true });
for (const { path, text } of outputFiles) {
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(
		path,
		path.endsWith(".map") ? JSON.stringify({ ...JSON.parse(text), debugId }) : text.replace(`"${NO_BUILD}"`, `"${debugId}"`),
	);
}
