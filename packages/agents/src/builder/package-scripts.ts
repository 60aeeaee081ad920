import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Fields, fieldsOf } from "./json-fields.js";

/** What npm runs when a package is installed, in its order. */
const EVENTS = ["preinstall", "install", "postinstall"] as const;
/** What npm runs of a package that comes with a recipe for a compiler, and says nothing else. */
const COMPILE = "node-gyp rebuild";
/** How many packages an answer names. */
const MOST_NAMED = 1000;

/** A script of a package's. */
export interface PackageScript {
	readonly event: string;
	readonly command: string;
}

/** A package of a tree. */
export interface InstalledPackage {
	/** Below the tree's directory. */
	readonly path: string;
	/** The name that it is installed under. */
	readonly name: string;
	readonly manifest: Fields;
	readonly scripts: readonly PackageScript[];
}

/** Every package of a tree, also those inside others. */
export function packagesIn(directory: string): readonly InstalledPackage[] {
	const found: InstalledPackage[] = [];
	const visit = (modules: string, scope = ""): void => {
		const below = join(directory, modules);
		if (!existsSync(below)) return;
		for (const base of readdirSync(below).sort()) {
			const path = `${modules}/${base}`;
			if (base.startsWith(".") || !lstatSync(join(directory, path)).isDirectory()) continue;
			if (base.startsWith("@") && scope === "") {
				visit(path, `${base}/`);
				continue;
			}
			const manifest = manifestIn(join(directory, path));
			found.push({ path, name: scope + base, manifest, scripts: scriptsOf(join(directory, path), manifest) });
			visit(`${path}/node_modules`);
		}
	};
	visit("node_modules");
	return found;
}

/** The names of those that have scripts. */
export function namesWithScripts(packages: readonly InstalledPackage[]): readonly string[] {
	return [...new Set(packages.filter(({ scripts }) => scripts.length > 0).map(({ name }) => name))].sort().slice(0, MOST_NAMED);
}

/** Those of these names, each after what it depends on, as far as that is among them or leads to them. */
export function inOrder(packages: readonly InstalledPackage[], names: readonly string[]): readonly InstalledPackage[] {
	const byPath = new Map(packages.map((one) => [one.path, one]));
	const seen = new Set<InstalledPackage>();
	const ordered: InstalledPackage[] = [];
	const visit = (start: InstalledPackage): void => {
		// A chain may be as long as there are packages: no recursion.
		const stack: [InstalledPackage, boolean][] = [[start, false]];
		for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
			const [one, isDone] = top;
			if (isDone) {
				ordered.push(one);
				continue;
			}
			if (seen.has(one)) continue;
			seen.add(one);
			stack.push([one, true]);
			const { dependencies, optionalDependencies } = one.manifest;
			for (const name of Object.keys({ ...fieldsOf(dependencies), ...fieldsOf(optionalDependencies) })) {
				const needed = seenFrom(one.path, name, byPath);
				if (needed !== undefined) stack.push([needed, false]);
			}
		}
	};
	const wanted = new Set(names);
	for (const one of packages) if (wanted.has(one.name)) visit(one);
	return ordered.filter(({ name }) => wanted.has(name));
}

/** As Node looks a name up: beside the package's own, then further out. */
function seenFrom(path: string, name: string, byPath: ReadonlyMap<string, InstalledPackage>): InstalledPackage | undefined {
	for (let at = path; ; at = at.slice(0, at.lastIndexOf("/node_modules/"))) {
		const found = byPath.get(`${at}/node_modules/${name}`);
		if (found !== undefined) return found;
		if (!at.includes("/node_modules/")) return byPath.get(`node_modules/${name}`);
	}
}

/** A package's package.json; without one that can be read it has no scripts. */
function manifestIn(directory: string): Fields {
	const file = join(directory, "package.json");
	try {
		return fieldsOf(JSON.parse(readFileSync(file, "utf8")));
	} catch (error) {
		if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return {};
		throw error;
	}
}

function scriptsOf(directory: string, manifest: Fields): readonly PackageScript[] {
	const scripts = fieldsOf(manifest["scripts"]);
	const own = EVENTS.flatMap((event) => {
		const command = scripts[event];
		return typeof command === "string" && command.trim() !== "" ? [{ event, command }] : [];
	});
	const compiles =
		!own.some(({ event }) => event !== "postinstall") && manifest["gypfile"] !== false && existsSync(join(directory, "binding.gyp"));
	return compiles ? [{ event: "install", command: COMPILE }, ...own] : own;
}
