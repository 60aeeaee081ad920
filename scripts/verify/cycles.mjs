import { dirname, join } from "node:path";
import { readSources } from "./sources.mjs";

/** Files that import each other in a circle, types included: "each file hands on to the next". @returns {string[]} */
export function checkCycles() {
	const sources = readSources();
	const paths = new Set(sources.map(({ path }) => path));
	const edges = new Map(sources.map((source) => [source.path, importedFiles(source, paths)]));
	const done = new Set();
	const problems = [];
	const visit = (path, trail) => {
		const at = trail.indexOf(path);
		if (at >= 0) {
			problems.push([...trail.slice(at), path].join(" → "));
			return;
		}
		if (done.has(path)) return;
		for (const next of edges.get(path)) visit(next, [...trail, path]);
		done.add(path);
	};
	for (const path of paths) visit(path, []);
	return problems;
}

function importedFiles({ path, specifiers }, paths) {
	return specifiers
		.filter((specifier) => specifier.startsWith("."))
		.map((specifier) => join(dirname(path), specifier).replace(/\.(m?)js$/, ".$1ts"))
		.filter((target) => paths.has(target));
}
