/** Bundles what runs inside sandboxes: the agent, and the build sandbox's handler with esbuild beside it. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire, findPackageJSON } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const dist = join(here, "dist");
const builder = join(dist, "builder");

const options = {
	bundle: true,
	platform: "node",
	format: "cjs",
	target: "node22",
	legalComments: "none",
	external: ["esbuild", "/berth/*"],
	define: { "import.meta.dirname": "__dirname", "import.meta.filename": "__filename" },
	logLevel: "warning",
};

await build({
	...options,
	entryPoints: { builder: join(here, "src/builder/main.ts"), "code-cache-compiler": join(here, "src/builder/code-cache-compiler.ts") },
	outdir: builder,
	outExtension: { ".js": ".cjs" },
});
placeEsbuild();

// npm's installer, which comes as modules by the hundred. It runs no scripts of packages, so node-gyp isn't in it.
await build({
	...options,
	entryPoints: [join(here, "src/builder/installer.ts")],
	outfile: join(builder, "installer.cjs"),
	minify: true,
	external: ["node-gyp/bin/node-gyp.js"],
	logOverride: { "require-resolve-not-external": "silent" },
});

await build({ ...options, entryPoints: [join(here, "src/node/main.ts")], outfile: join(dist, "agent.cjs") });
await build({ ...options, entryPoints: [join(here, "src/custom/main.ts")], outfile: join(dist, "bridge.cjs") });
copyFileSync(join(here, "src/node/warm.mjs"), join(dist, "warm.mjs"));
for (const file of ["check_python.py", "fetch_sdists.py"]) copyFileSync(join(here, "src/builder", file), join(builder, file));
placePython();
placeNodeGyp();
// Built in the form in which it starts quickest, by the Python that runs it.
execFileSync("/usr/bin/python3", ["-I", join(here, "pack_pip.py"), join(builder, "pip.zip")], { stdio: "inherit" });

/** The Python agent, and bytecode of it: a sandbox can't write any, and would compile it at each start. */
function placePython() {
	const python = join(dist, "python");
	rmSync(python, { recursive: true, force: true });
	cpSync(join(here, "src/python"), python, { recursive: true, filter: (path) => !/__pycache__$|\.ts$/.test(path) });
	const compile = ["-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", python, "-p", "/berth/python"];
	execFileSync("/usr/bin/python3", [...compile, python], { stdio: "inherit" });
}

/** npm's tool to compile packages with, and what it requires: it loads its own files by name, and Python's beside them. */
function placeNodeGyp() {
	const modules = join(dist, "node-gyp", "node_modules");
	rmSync(modules, { recursive: true, force: true });
	const versions = new Map();
	const add = (name, from) => {
		const file = findPackageJSON(name, from);
		if (file === undefined) throw new Error(`${name} is missing: run npm ci`);
		const { version, dependencies = {} } = JSON.parse(readFileSync(file, "utf8"));
		const known = versions.get(name);
		if (known !== undefined && known !== version) throw new Error(`node-gyp wants ${name} ${known} and ${version}`);
		if (known !== undefined) return;
		versions.set(name, version);
		const directory = dirname(file);
		const isPart = (path) => !/\/(?:node_modules|docs?|test|\.\w+)$|\.(?:md|d\.[cm]?ts|map)$/.test(path.slice(directory.length));
		cpSync(directory, join(modules, name), { recursive: true, dereference: true, filter: isPart });
		for (const dependency of Object.keys(dependencies)) add(dependency, file);
	};
	const require = createRequire(import.meta.url);
	add("node-gyp", require.resolve("node-gyp/package.json"));
}

/** esbuild's JavaScript and its binary, laid out so that one finds the other: the directory is the builder's layer. */
function placeEsbuild() {
	const modules = join(builder, "node_modules");
	rmSync(modules, { recursive: true, force: true });
	const binary = `@esbuild/${process.platform}-${process.arch}`;
	const require = createRequire(import.meta.url);
	const esbuild = dirname(require.resolve("esbuild/package.json"));
	const platform = dirname(createRequire(join(esbuild, "package.json")).resolve(`${binary}/package.json`));
	for (const file of ["package.json", "lib/main.js"]) place(join(esbuild, file), join(modules, "esbuild", file));
	for (const file of ["package.json", "bin/esbuild"]) place(join(platform, file), join(modules, binary, file));
	chmodSync(join(modules, binary, "bin/esbuild"), 0o755);
}

function place(from, to) {
	if (!existsSync(from)) throw new Error(`${from} is missing: run npm ci`);
	mkdirSync(dirname(to), { recursive: true });
	copyFileSync(from, to);
}
