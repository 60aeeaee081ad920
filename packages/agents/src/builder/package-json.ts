import { DependencyError } from "./dependency-error.js";
import { type Fields, fieldsOf, pick, shown } from "./json-fields.js";
import type { SourceFile } from "./source-files.js";

/** A version, a range or a tag of the registry's, perhaps under another name; git, files, links and URLs have a colon, a slash or a dot first. */
const FROM_REGISTRY = /^(?:npm:(?:@[\w.~-]+\/)?[\w.~-]+(?:@[^:/\\]*)?|(?!\.)[^:/\\]*)$/;

export const MANIFEST_LISTS = ["dependencies", "optionalDependencies", "peerDependencies"] as const;
const MANIFEST_FIELDS = [...MANIFEST_LISTS, "peerDependenciesMeta", "overrides"];

/** Of a package.json what an installation reads. @throws DependencyError */
export function installedManifest(json: Fields): Fields {
	if (json["workspaces"] !== undefined)
		throw new DependencyError("package.json has workspaces, which aren't installed; deploy one package with a lock file of its own");
	for (const list of MANIFEST_LISTS) checkSpecs(json[list], `package.json's ${list}`);
	checkSpecs(json["overrides"], "package.json's overrides");
	return pick(json, MANIFEST_FIELDS);
}

/** Whether there is something to install. @throws DependencyError */
export function hasDependencies(manifest: Fields): boolean {
	for (const list of MANIFEST_LISTS) checkIsObject(manifest[list], list);
	return Object.keys({ ...fieldsOf(manifest["dependencies"]), ...fieldsOf(manifest["optionalDependencies"]) }).length > 0;
}

/** npm takes none as an empty one, and nothing else in its place. */
function checkIsObject(value: unknown, list: string): void {
	if (value !== undefined && value !== null && (typeof value !== "object" || Array.isArray(value)))
		throw new DependencyError(`package.json's ${list} is ${shown(value)}; an object is wanted there: a version for each name`);
}

/** Every text in it, however deep (overrides are nested), is a version, a range, a tag, or another dependency's (`$name`). */
export function checkSpecs(value: unknown, where: string): void {
	for (const [name, spec] of Object.entries(fieldsOf(value))) {
		if (typeof spec === "object" && spec !== null) checkSpecs(spec, where);
		else if (typeof spec !== "string" || !(FROM_REGISTRY.test(spec) || /^\$[@\w./~-]+$/.test(spec)))
			throw new DependencyError(
				`${where}: ${shown(name)} is ${shown(spec)}; dependencies come from the registry, by version: no git, file, link or URL`,
			);
	}
}

/** A file that is a JSON object. @throws DependencyError */
export function parseJsonFile({ path, bytes }: SourceFile): Fields {
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
