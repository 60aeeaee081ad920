import type { PackagedLanguage, PackageRegistry } from "@berth/contracts";

/** Where the packages of one project and language come from. */
export interface PackageSources {
	readonly language: PackagedLanguage;
	/** The default registry first. */
	readonly registries: readonly PackageRegistry[];
	/** The `Authorization` that each origin is sent, opened when it is. It leaves the worker to that origin alone. */
	readonly logins: ReadonlyMap<string, () => string>;
	/** Other origins that a registry may redirect to. */
	readonly redirects: readonly string[];
	/** The project, where it has logins: what it builds may hold what others may not read, and isn't shared with them. */
	readonly owner?: string;
}

/** What npm asks for when it only wants to install: a twentieth of a package's full record. */
const NPM_ACCEPT = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*";
/** PEP 691's JSON, else PEP 503's HTML. */
const PYPI_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.2, text/html; q=0.1, */*; q=0.01";
/** Python's own index keeps its files here (docs.pypi.org, "Index API"). Any other one has them below where its pages are. */
const PYPI = { host: "pypi.org", filesOrigin: "https://files.pythonhosted.org" } as const;

/** How registries of a language are asked: the `accept` header, and the URLs below which everything is that is asked for. */
export interface Asking {
	readonly accept: string;
	readonly below: readonly URL[];
	/** The origin of an index's files, where that is another one. */
	readonly filesOrigin?: string;
}

export function askingOf({ language, registries }: Pick<PackageSources, "language" | "registries">): Asking {
	const urls = registries.map(({ url }) => new URL(url));
	if (language === "node") return { accept: NPM_ACCEPT, below: urls };
	// An index has its pages in one directory (`simple/`) and its files in one beside it.
	const parents = urls.map((url) => new URL(url.pathname.replace(/[^/]+\/$/, ""), url));
	if (urls[0]?.host !== PYPI.host) return { accept: PYPI_ACCEPT, below: parents };
	const { filesOrigin } = PYPI;
	return { accept: PYPI_ACCEPT, below: [...parents, new URL(filesOrigin)], filesOrigin };
}
