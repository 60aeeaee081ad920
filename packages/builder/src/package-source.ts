import type { PackagedLanguage } from "@berth/contracts";

/** Where an installation's packages come from, and how they are asked for. */
export interface PackageSource {
	readonly language: PackagedLanguage;
	/** The registry's URL, with a `/` at its end. */
	readonly registry: string;
	/** What is asked for is below this path of the registry's origin; `/` at its end. */
	readonly below: string;
	/** The origin of the registry's files, where that is another one. */
	readonly filesOrigin?: string;
	/** The `accept` header. */
	readonly accept: string;
}

/** What npm asks for when it only wants to install: a twentieth of a package's full record. */
const NPM_ACCEPT = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*";
/** PEP 691's JSON, else PEP 503's HTML. */
const PYPI_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.2, text/html; q=0.1, */*; q=0.01";
/** Python's own index keeps its files here (docs.pypi.org, "Index API"). Any other one has them below where its pages are. */
const PYPI = { host: "pypi.org", filesOrigin: "https://files.pythonhosted.org" } as const;

/** Where a language's packages come from. */
export function packageSource(language: PackagedLanguage, registries: Readonly<Record<PackagedLanguage, string>>): PackageSource {
	const registry = registries[language];
	const { host, pathname } = new URL(registry);
	if (language === "node") return { language, registry, below: pathname, accept: NPM_ACCEPT };
	// An index has its pages in one directory (`simple/`) and its files in one beside it.
	const below = pathname.replace(/[^/]+\/$/, "");
	return { language, registry, below, accept: PYPI_ACCEPT, ...(host === PYPI.host && { filesOrigin: PYPI.filesOrigin }) };
}
