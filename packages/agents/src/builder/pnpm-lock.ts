import type { PackageRegistry } from "@berth/contracts/agent";
import { parse, YAMLParseError } from "yaml";
import { DependencyError } from "./dependency-error.js";
import type { Installable } from "./installable.js";
import { type Fields, fieldsOf, pick, shown } from "./json-fields.js";
import { checkIntegrity } from "./package-lock.js";
import { type Dependency, type Package, placePackages } from "./pnpm-places.js";
import { registryPlace, usualPlace } from "./registry-places.js";
import type { SourceFile } from "./source-files.js";

const LOCK = "pnpm-lock.yaml";
/** YAML is read slowly, and into many objects. */
const MOST_BYTES = 4 * 1024 * 1024;
const NAME = /^(?:@[\w~-][\w.~-]*\/)?[\w~-][\w.~-]*$/;
const VERSION = /^\d[\w.+-]*$/;
const LISTS = ["dependencies", "optionalDependencies"] as const;

/**
 * What pnpm's lock file says, as npm's installer takes it: pnpm links packages to each other, here each is a directory
 * that its dependents look into. Peers are among a package's dependencies in the lock file, as pnpm chose them.
 * @param manifest what is installed of package.json
 * @throws DependencyError
 */
export function pnpmInstallable(file: SourceFile, manifest: Fields, registries: readonly PackageRegistry[]): Installable {
	const lock = parsed(file);
	const importer = importerOf(lock);
	checkManifest(manifest, importer, fieldsOf(lock["overrides"]));
	const snapshots = fieldsOf(lock["snapshots"]);
	const wanted = (fields: Fields, what: string) =>
		LISTS.flatMap((list) =>
			Object.entries(fieldsOf(fields[list])).map(([name, value]) =>
				dependencyOf(name, typeof value === "object" ? fieldsOf(value)["version"] : value, list, what),
			),
		);
	const root = wanted(importer, `${LOCK}: importers`);
	const places = placePackages(root, (key): Package => {
		const snapshot = snapshots[key];
		if (snapshot === undefined) throw new DependencyError(`${LOCK} hasn't ${shown(key)}, which something in it needs; run pnpm install`);
		const fields = fieldsOf(snapshot);
		return { dependencies: wanted(fields, `${LOCK}: ${shown(key)}`), isOptional: fields["optional"] === true };
	});
	const packages = places.map(({ path, name, key, found }): [string, Fields] => {
		const entry = entryOf(key, fieldsOf(lock["packages"]), registries);
		return [
			path,
			{
				...(entry["name"] === name ? {} : { name: entry["name"] }),
				...pick(entry, ["version", "resolved", "integrity", "os", "cpu", "libc"]),
				...(found.isOptional ? { optional: true } : {}),
				...listsOf(found.dependencies),
			},
		];
	});
	packages.sort(([a], [b]) => (a < b ? -1 : 1));
	const own = listsOf(root);
	return { manifest: own, lock: { lockfileVersion: 3, requires: true, packages: Object.fromEntries([["", own], ...packages]) } };
}

/** @throws DependencyError when it isn't one that is read */
function parsed({ bytes }: SourceFile): Fields {
	if (bytes.byteLength > MOST_BYTES) throw new DependencyError(`${LOCK} has ${bytes.byteLength} bytes; at most ${MOST_BYTES} are read`);
	let lock: Fields;
	try {
		lock = fieldsOf(parse(Buffer.from(bytes).toString(), { maxAliasCount: 0, logLevel: "error" }));
	} catch (error) {
		if (!(error instanceof YAMLParseError || error instanceof ReferenceError)) throw error;
		throw new DependencyError(`${LOCK} isn't YAML: ${error.message.split("\n", 1)[0]}`);
	}
	const version = String(lock["lockfileVersion"] ?? "none");
	if (!/^9(?:\.|$)/.test(version))
		throw new DependencyError(`${LOCK} has lockfileVersion ${shown(version)}; 9.0 is read: make it anew with pnpm 9 or later`);
	if (Object.keys(fieldsOf(lock["patchedDependencies"])).length > 0)
		throw new DependencyError(`${LOCK} has patchedDependencies, and patches aren't applied; publish the patched package`);
	return lock;
}

/** The one project that the lock file is of. */
function importerOf(lock: Fields): Fields {
	const importers = fieldsOf(lock["importers"]);
	const others = Object.keys(importers).filter((path) => path !== ".");
	if (others.length > 0)
		throw new DependencyError(
			`${LOCK} is of a workspace (${shown(others[0])}), which isn't installed; deploy one package with a lock file of its own (\`pnpm deploy\`)`,
		);
	return fieldsOf(importers["."]);
}

/** As pnpm's `--frozen-lockfile`: package.json asks for what the lock file was made of. */
function checkManifest(manifest: Fields, importer: Fields, overrides: Fields): void {
	for (const list of LISTS) {
		for (const [name, spec] of Object.entries(fieldsOf(manifest[list]))) {
			const locked = LISTS.map((one) => fieldsOf(fieldsOf(importer[one])[name])["specifier"]).find((one) => one !== undefined);
			if (locked === spec || (locked !== undefined && Object.keys(overrides).length > 0)) continue;
			const there = locked === undefined ? "isn't in it" : `is ${shown(locked)} in it`;
			throw new DependencyError(
				`package.json and ${LOCK} don't belong together: ${shown(name)} is ${shown(spec)} and ${there}; run pnpm install and deploy both`,
			);
		}
	}
}

/** `name: 1.2.3(peer@4.5.6)`, or `name: other@1.2.3` for one under another name. */
function dependencyOf(name: string, version: unknown, list: Dependency["list"], what: string): Dependency {
	if (typeof version === "string" && NAME.test(name)) {
		const plain = withoutPeers(version);
		if (VERSION.test(plain)) return { name, key: `${name}@${version}`, list };
		const [real = "", number = ""] = splitKey(plain);
		if (NAME.test(real) && VERSION.test(number)) return { name, key: version, list };
	}
	throw new DependencyError(
		`${what}: ${shown(name)} is ${shown(version)}; dependencies come from the registry, by version: no git, file, link or URL`,
	);
}

function entryOf(key: string, packages: Fields, registries: readonly PackageRegistry[]): Fields {
	const what = `${LOCK}: ${shown(key)}`;
	const plain = withoutPeers(key);
	const entry = fieldsOf(packages[plain]);
	const resolution = fieldsOf(entry["resolution"]);
	if (resolution["type"] !== undefined || resolution["directory"] !== undefined)
		throw new DependencyError(`${what} is a directory or of git, and not a package of the registry; publish it`);
	checkIntegrity(what, resolution["integrity"]);
	const [name = "", version = ""] = splitKey(plain);
	const { tarball, integrity } = resolution;
	const resolved = tarball === undefined ? usualPlace(name, version, registries) : registryPlace(what, tarball, registries);
	const platforms = Object.entries(pick(entry, ["os", "cpu", "libc"])).filter(([, value]) => Array.isArray(value));
	return { name, version, resolved, integrity, ...Object.fromEntries(platforms) };
}

/** As npm's lock file has them; versions are exact, names of others are said. */
function listsOf(dependencies: readonly Dependency[]): Fields {
	const lists = LISTS.map((list) => {
		const own = dependencies.filter((one) => one.list === list).map(({ name, key }) => [name, specOf(name, key)]);
		return [list, Object.fromEntries(own)] as const;
	});
	return Object.fromEntries(lists.filter(([, own]) => Object.keys(own).length > 0));
}

function specOf(name: string, key: string): string {
	const [real, version] = splitKey(withoutPeers(key));
	return real === name ? (version ?? "") : `npm:${real}@${version}`;
}

function withoutPeers(text: string): string {
	const at = text.indexOf("(");
	return at < 0 ? text : text.slice(0, at);
}

function splitKey(key: string): readonly string[] {
	const at = key.lastIndexOf("@");
	return at <= 0 ? [] : [key.slice(0, at), key.slice(at + 1)];
}
