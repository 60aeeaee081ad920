import type { PackageRegistry } from "@berth/contracts/agent";
import { DependencyError } from "./dependency-error.js";
import { type Fields, fieldsOf, pick, shown } from "./json-fields.js";
import { checkSpecs, MANIFEST_LISTS } from "./package-json.js";
import { registryPlace, usualPlace } from "./registry-places.js";

const LOCK = "package-lock.json";
const INTEGRITY = /^(?:sha(?:512|384|256|1)-[A-Za-z0-9+/=]+ ?)+$/;
const ENTRY_FIELDS = [
	...["name", "version", "integrity", "inBundle", "optional", "devOptional", "peer", "os", "cpu", "libc"],
	...[...MANIFEST_LISTS, "peerDependenciesMeta", "bundleDependencies"],
];

/** Of an npm lock file what an installation reads, in an order of its own. @throws DependencyError */
export function packageLock(json: Fields, manifest: Fields, registries: readonly PackageRegistry[]): Fields {
	const version = json["lockfileVersion"];
	if (version !== 2 && version !== 3)
		throw new DependencyError(`${LOCK} has lockfileVersion ${shown(version)}; 2 and 3 are read: make it anew with npm 7 or later`);
	const packages: [string, Fields][] = [["", pick(manifest, MANIFEST_LISTS)]];
	for (const [path, value] of Object.entries(fieldsOf(json["packages"])).sort(([a], [b]) => (a < b ? -1 : 1))) {
		const entry = fieldsOf(value);
		// The root is package.json's; what is for development alone isn't installed.
		if (path === "" || entry["dev"] === true) continue;
		packages.push([path, entryOf(path, entry, registries)]);
	}
	return { lockfileVersion: 3, requires: true, packages: Object.fromEntries(packages) };
}

function entryOf(path: string, entry: Fields, registries: readonly PackageRegistry[]): Fields {
	const what = `${LOCK}: ${shown(path)}`;
	if (entry["link"] === true || !/^node_modules\/(?!.*(?:^|\/)\.{1,2}(?:\/|$))[^\\\0]+$/.test(path))
		throw new DependencyError(
			`${what} is a directory or a link, and not a package of the registry; publish it, or make it part of the source`,
		);
	for (const list of MANIFEST_LISTS) checkSpecs(entry[list], `${what}: ${list}`);
	if (entry["inBundle"] === true) return pick(entry, ENTRY_FIELDS);
	checkIntegrity(what, entry["integrity"]);
	const { name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length), version, resolved } = entry;
	const place = resolved === undefined ? usualPlace(String(name), String(version), registries) : registryPlace(what, resolved, registries);
	return { ...pick(entry, ENTRY_FIELDS), resolved: place };
}

/** @throws DependencyError when nobody could tell whether what comes is the right one */
export function checkIntegrity(what: string, integrity: unknown): void {
	if (typeof integrity === "string" && INTEGRITY.test(integrity)) return;
	throw new DependencyError(
		`${what} has no integrity, so nobody could tell whether it is the right one; make the lock file anew with npm install`,
	);
}
