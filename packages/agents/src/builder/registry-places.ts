import type { PackageRegistry } from "@berth/contracts/agent";
import { DependencyError } from "./dependency-error.js";
import { shown } from "./json-fields.js";

const NPM = "registry.npmjs.org";
/** Stands for the way to the registries, which only the installing sandbox has: what follows is a host, and a path of it. */
export const SOMEWHERE = "http://registry.invalid";

/** A place of a registry's as installations know it. Lock files name npm's own also where another one is used. @throws DependencyError for any other host */
export function registryPlace(what: string, resolved: unknown, registries: readonly PackageRegistry[]): string {
	const url = typeof resolved === "string" && URL.canParse(resolved) ? new URL(resolved) : undefined;
	if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:") || url.username !== "" || url.search !== "")
		throw new DependencyError(`${what} comes from ${shown(resolved)}; only packages of a registry are installed`);
	const all = registries.map((registry) => new URL(registry.url));
	const own = all.find(({ host, pathname }) => url.host === host && url.pathname.startsWith(pathname));
	if (own !== undefined) return `${SOMEWHERE}/${own.host}${url.pathname}`;
	const [first] = all;
	if (url.host === NPM && first !== undefined) return `${SOMEWHERE}/${first.host}${first.pathname.replace(/\/$/, "")}${url.pathname}`;
	const known = all.map(({ host }) => host).join(", ");
	throw new DependencyError(
		`${what} comes from ${shown(url.host)}, which isn't a package registry of this project (${known}); \`berth registry set\` adds one`,
	);
}

/** Where a registry has a package's version unless it says otherwise, as npm's own does. */
export function usualPlace(name: string, version: string, registries: readonly PackageRegistry[]): string {
	const { host, pathname } = new URL(registryFor(name, registries));
	return `${SOMEWHERE}/${host}${pathname}${name}/-/${name.slice(name.lastIndexOf("/") + 1)}-${version}.tgz`;
}

/** The registry that has a package: its scope's, else the first. */
function registryFor(name: string, registries: readonly PackageRegistry[]): string {
	const [scope] = name.split("/", 1);
	const own = registries.find(({ scopes }) => scopes.includes(scope ?? ""));
	return (own ?? registries[0])?.url ?? SOMEWHERE;
}
