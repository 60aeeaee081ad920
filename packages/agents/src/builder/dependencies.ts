import { DEPENDENCY_LIMITS, type PackageRegistry } from "@berth/contracts/agent";
import { DependencyError } from "./dependency-error.js";
import type { Installable } from "./installable.js";
import type { Fields } from "./json-fields.js";
import { hasDependencies, installedManifest, parseJsonFile } from "./package-json.js";
import { packageLock } from "./package-lock.js";
import { pnpmInstallable } from "./pnpm-lock.js";
import type { SourceFile } from "./source-files.js";

const PNPM_LOCK = "pnpm-lock.yaml";
/** npm takes the first where both are. */
const NPM_LOCKS = ["npm-shrinkwrap.json", "package-lock.json"] as const;
/** Lock files of others, with what makes one that is read. */
const FOREIGN_LOCKS: Readonly<Record<string, string>> = {
	"yarn.lock": "Yarn's",
	"bun.lock": "Bun's",
	"bun.lockb": "Bun's",
};

/** What a source's dependencies are: locked, or still to be resolved. */
export type Wanted<What = object> = { readonly installable: What } | { readonly manifest: Fields };

/**
 * What is to be installed for a source; undefined when nothing is: without dependencies, or with a node_modules of its
 * own. Names, scripts, development dependencies and everything else that an installation doesn't need are left out, so
 * that sources with the same dependencies ask for the same bytes.
 * @throws DependencyError
 */
export function dependenciesOf(files: readonly SourceFile[], registries: readonly PackageRegistry[]): Wanted<Installable> | undefined {
	const find = (name: string) => files.find(({ path }) => path === name);
	const manifestFile = find("package.json");
	if (manifestFile === undefined || files.some(({ path }) => path.startsWith("node_modules/"))) return undefined;
	const json = parseJsonFile(manifestFile);
	if (!hasDependencies(json)) return undefined;
	const manifest = installedManifest(json);
	const pnpmLock = find(PNPM_LOCK);
	const lock = NPM_LOCKS.map(find).find((file) => file !== undefined);
	if (pnpmLock !== undefined && (lock === undefined || isPnpms(json)))
		return { installable: pnpmInstallable(pnpmLock, manifest, registries) };
	if (lock !== undefined) return { installable: { manifest, lock: packageLock(parseJsonFile(bounded(lock)), manifest, registries) } };
	const foreign = Object.keys(FOREIGN_LOCKS).find((name) => find(name) !== undefined);
	if (foreign !== undefined)
		throw new DependencyError(
			`${foreign} is ${FOREIGN_LOCKS[foreign]} lock file, which isn't read; deploy package-lock.json (\`npm install --package-lock-only\`), or none of them to have the dependencies resolved at the deploy`,
		);
	return { manifest };
}

/** Which of two lock files counts, package.json says (`"packageManager": "pnpm@9.1.0"`). */
function isPnpms(json: Fields): boolean {
	return typeof json["packageManager"] === "string" && json["packageManager"].startsWith("pnpm@");
}

function bounded(file: SourceFile): SourceFile {
	if (file.bytes.byteLength <= DEPENDENCY_LIMITS.lockBytes) return file;
	throw new DependencyError(`${file.path} has ${file.bytes.byteLength} bytes; at most ${DEPENDENCY_LIMITS.lockBytes} are read`);
}
