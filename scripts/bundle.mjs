// What a package's processes start: `node ../../scripts/bundle.mjs <name>=<module>…` makes `dist/programs/<name>.js` of each, in the package's directory, with all that it imports.
// Node takes longer to find modules by the hundred than to run them: half of what the start of a process costs.
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const OUT = "dist/programs";

rmSync(OUT, { recursive: true, force: true });
await build({
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
});
