import { DEPENDENCY_LIMITS, type SourceRequest } from "@berth/contracts/agent";
import type { SourceFile } from "./source-files.js";

const LOCK = "package-lock.json";
const NPM = "registry.npmjs.org";
/** Stands in lock files for whatever registry is configured: npm's installer puts the real one in its place. */
const SOME_REGISTRY = "http://registry.invalid";
const INTEGRITY = /^(?:sha(?:512|384|256|1)-[A-Za-z0-9+/=]+ ?)+$/;
/** A version, a range or a tag of the registry's, perhaps under another name; git, files, links and URLs have a colon, a slash or a dot first. */
const FROM_REGISTRY = /^(?:npm:(?:@[\w.~-]+\/)?[\w.~-]+(?:@[^:/\\]*)?|(?!\.)[^:/\\]*)$/;

const MANIFEST_LISTS = ["dependencies", "optionalDependencies", "peerDependencies"] as const;
const MANIFEST_FIELDS = [...MANIFEST_LISTS, "peerDependenciesMeta", "overrides"];
const ENTRY_FIELDS = [
	...["name", "version", "integrity", "inBundle", "optional", "devOptional", "peer", "os", "cpu", "libc"],
	...[...MANIFEST_LISTS, "peerDependenciesMeta", "bundleDependencies"],
];

type Fields = Readonly<Record<string, unknown>>;

/** package.json or package-lock.json asks for what isn't installed: which, why, and what to do. */
export class DependencyError extends Error {
	override readonly name = "DependencyError";
}

/** What npm's installer gets, and nothing else of a source: two files. */
export interface Installable {
	readonly manifest: Fields;
	readonly lock: Fields;
}

/**
 * What is to be installed for a source; undefined when nothing is: without dependencies, without a lock file, or
 * with a node_modules of its own. Names, scripts, development dependencies and everything else that an
 * installation doesn't need are left out, so that sources with the same dependencies ask for the same bytes.
 * @throws DependencyError
 */
export function installableOf(files: readonly SourceFile[], { registry }: Pick<SourceRequest, "registry">): Installable | undefined {
	const manifestFile = files.find(({ path }) => path === "package.json");
	const lockFile = files.find(({ path }) => path === LOCK);
	if (manifestFile === undefined || lockFile === undefined) return undefined;
	if (files.some(({ path }) => path.startsWith("node_modules/"))) return undefined;
	const manifest = manifestOf(parse(manifestFile));
	if (Object.keys(fieldsOf(manifest["dependencies"])).length + Object.keys(fieldsOf(manifest["optionalDependencies"])).length === 0)
		return undefined;
	if (lockFile.bytes.byteLength > DEPENDENCY_LIMITS.lockBytes)
		throw new DependencyError(`${LOCK} has ${lockFile.bytes.byteLength} bytes; at most ${DEPENDENCY_LIMITS.lockBytes} are read`);
	return { manifest, lock: lockOf(parse(lockFile), manifest, registry) };
}

function manifestOf(json: Fields): Fields {
	if (json["workspaces"] !== undefined)
		throw new DependencyError("package.json has workspaces, which aren't installed; deploy one package with a lock file of its own");
	for (const list of MANIFEST_LISTS) checkSpecs(json[list], `package.json's ${list}`);
	checkSpecs(json["overrides"], "package.json's overrides");
	return pick(json, MANIFEST_FIELDS);
}

function lockOf(json: Fields, manifest: Fields, registry: string): Fields {
	const version = json["lockfileVersion"];
	if (version !== 2 && version !== 3)
		throw new DependencyError(`${LOCK} has lockfileVersion ${shown(version)}; 2 and 3 are read: make it anew with npm 7 or later`);
	const packages: [string, Fields][] = [["", pick(manifest, MANIFEST_LISTS)]];
	for (const [path, value] of Object.entries(fieldsOf(json["packages"])).sort(([a], [b]) => (a < b ? -1 : 1))) {
		const entry = fieldsOf(value);
		// The root is package.json's; what is for development alone isn't installed.
		if (path === "" || entry["dev"] === true) continue;
		packages.push([path, entryOf(path, entry, registry)]);
	}
	return { lockfileVersion: 3, requires: true, packages: Object.fromEntries(packages) };
}

function entryOf(path: string, entry: Fields, registry: string): Fields {
	const what = `${LOCK}: ${shown(path)}`;
	if (entry["link"] === true || !/^node_modules\/(?!.*(?:^|\/)\.{1,2}(?:\/|$))[^\\\0]+$/.test(path))
		throw new DependencyError(
			`${what} is a directory or a link, and not a package of the registry; publish it, or make it part of the source`,
		);
	for (const list of MANIFEST_LISTS) checkSpecs(entry[list], `${what}: ${list}`);
	const { resolved, integrity } = entry;
	const place = resolved === undefined || entry["inBundle"] === true ? {} : { resolved: registryPath(what, resolved, registry) };
	if (entry["inBundle"] !== true && (typeof integrity !== "string" || !INTEGRITY.test(integrity)))
		throw new DependencyError(
			`${what} has no integrity, so nobody could tell whether it is the right one; make the lock file anew with npm install`,
		);
	return { ...pick(entry, ENTRY_FIELDS), ...place };
}

/** Where the registry has it. Lock files name npm's own also where another one is used. @throws DependencyError for any other host */
function registryPath(what: string, resolved: unknown, registry: string): string {
	const url = typeof resolved === "string" && URL.canParse(resolved) ? new URL(resolved) : undefined;
	const own = new URL(registry);
	if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:") || url.username !== "" || url.search !== "")
		throw new DependencyError(`${what} comes from ${shown(resolved)}; only packages of the registry are installed`);
	if (url.host === own.host && url.pathname.startsWith(own.pathname)) return `${SOME_REGISTRY}${url.pathname}`;
	if (url.host === NPM) return `${SOME_REGISTRY}${own.pathname.replace(/\/$/, "")}${url.pathname}`;
	throw new DependencyError(`${what} comes from ${shown(url.host)}, which isn't the registry of this installation (${own.host})`);
}

/** Every text in it, however deep (overrides are nested), is a version, a range, a tag, or another dependency's (`$name`). */
function checkSpecs(value: unknown, where: string): void {
	for (const [name, spec] of Object.entries(fieldsOf(value))) {
		if (typeof spec === "object" && spec !== null) checkSpecs(spec, where);
		else if (typeof spec !== "string" || !(FROM_REGISTRY.test(spec) || /^\$[@\w./~-]+$/.test(spec)))
			throw new DependencyError(
				`${where}: ${shown(name)} is ${shown(spec)}; dependencies come from the registry, by version: no git, file, link or URL`,
			);
	}
}

function parse({ path, bytes }: SourceFile): Fields {
	try {
		const value = JSON.parse(
			Buffer.from(bytes)
				.toString()
				.replace(/^\uFEFF/, ""),
		) as unknown;
		if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error;
		throw new DependencyError(`${path} isn't JSON: ${error.message}`);
	}
	throw new DependencyError(`${path} isn't a JSON object`);
}

function fieldsOf(value: unknown): Fields {
	return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function pick(fields: Fields, names: readonly string[]): Fields {
	return Object.fromEntries(names.filter((name) => fields[name] !== undefined).map((name) => [name, fields[name]]));
}

function shown(value: unknown): string {
	return (JSON.stringify(value) ?? "nothing").slice(0, 200);
}
