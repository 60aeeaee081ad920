import type { PackageSources } from "@berth/builder";
import type { Settings } from "@berth/config";
import type { PackagedLanguage, PackageRegistry } from "@berth/contracts";
import type { PackageRegistryAccess } from "@berth/registry";

/**
 * Where a project's packages come from: the installation's registry, and what the project has set of those that the operator
 * allows. A registry that isn't allowed any more is as if it weren't set.
 */
export function packageSourcesOf(
	project: string,
	language: PackagedLanguage,
	accesses: readonly PackageRegistryAccess[],
	settings: Pick<Settings, "npmRegistry" | "pypiIndex" | "packageRegistries" | "pypiIndexes">,
): PackageSources {
	const standard: PackageRegistry = { url: language === "python" ? settings.pypiIndex : settings.npmRegistry, scopes: [] };
	const listed = language === "python" ? settings.pypiIndexes : settings.packageRegistries;
	const others = listed.flatMap((registry) => registryOf(registry, accesses));
	const registries = [standard, ...others.filter(({ url }) => new URL(url).href !== new URL(standard.url).href)];
	const logins = registries.flatMap(({ url }): [string, () => string][] => {
		const authorization = accesses.find(({ host }) => host === hostOf(url))?.authorization;
		return authorization === undefined ? [] : [[new URL(url).origin, authorization]];
	});
	return {
		language,
		registries,
		logins: new Map(logins),
		redirects: [...settings.packageRegistries, ...settings.pypiIndexes].map((url) => new URL(url).origin),
		...(logins.length === 0 ? {} : { owner: project }),
	};
}

function registryOf(url: string, accesses: readonly PackageRegistryAccess[]): readonly PackageRegistry[] {
	const access = accesses.find(({ host }) => host === hostOf(url));
	return access === undefined ? [] : [{ url, scopes: access.scopes }];
}

function hostOf(url: string): string {
	return new URL(url).host;
}
