import { DependencyError } from "./dependency-error.js";

/** More directories than any function has packages: what asks for more makes them multiply. */
const MOST_PLACES = 10_000;

/** What a package needs: under which name, and which package that is. */
export interface Dependency {
	readonly name: string;
	readonly key: string;
	readonly list: "dependencies" | "optionalDependencies";
}

export interface Package {
	readonly dependencies: readonly Dependency[];
	readonly isOptional: boolean;
}

/** A package in its directory. */
export interface Placed {
	/** `node_modules/a/node_modules/b` */
	readonly path: string;
	readonly name: string;
	readonly key: string;
	readonly found: Package;
}

interface Place {
	readonly path: string;
	readonly above: Place | undefined;
	/** Packages in its node_modules: name to place. */
	readonly inside: Map<string, { readonly key: string }>;
	/** Names that it, or what is below it, finds further up: nothing of that name may come between. */
	readonly passed: Set<string>;
}

/**
 * Directories for a graph of packages, so that each finds by Node's own way up through node_modules what the graph says:
 * as far up as nothing else is in the way. A package that several need in ways that contradict each other is there several times.
 * @throws DependencyError when that is too many
 */
export function placePackages(root: readonly Dependency[], find: (key: string) => Package): readonly Placed[] {
	const top: Place = { path: "", above: undefined, inside: new Map(), passed: new Set() };
	const placed: Placed[] = [];
	const queue: { readonly place: Place; readonly dependencies: readonly Dependency[] }[] = [{ place: top, dependencies: root }];
	for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
		for (const { name, key } of next.dependencies) {
			const host = hostFor(name, key, next.place);
			if (host === undefined) continue;
			if (placed.length >= MOST_PLACES)
				throw new DependencyError(`the lock file leads to more than ${MOST_PLACES} directories of packages; pnpm dedupe may help`);
			const path = `${host.path === "" ? "" : `${host.path}/`}node_modules/${name}`;
			const place = { path, key, above: host, inside: new Map(), passed: new Set<string>() };
			host.inside.set(name, place);
			const found = find(key);
			placed.push({ path, name, key, found });
			queue.push({ place, dependencies: found.dependencies });
		}
	}
	return placed;
}

/** Where a package that `from` needs is put; undefined when it finds it already. */
function hostFor(name: string, key: string, from: Place): Place | undefined {
	const way: Place[] = [];
	let host: Place | undefined;
	for (let at: Place | undefined = from; at !== undefined; at = at.above) {
		const there = at.inside.get(name);
		if (there?.key === key) {
			for (const below of way) below.passed.add(name);
			return undefined;
		}
		if (there !== undefined) break;
		if (!at.passed.has(name)) host = at;
		way.push(at);
	}
	// Of a name that `from` has looked up already, it has found the same: a package names each of its dependencies once.
	const chosen = host ?? from;
	for (const below of way.slice(0, way.indexOf(chosen))) below.passed.add(name);
	return chosen;
}
