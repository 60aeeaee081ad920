import type { PackageRegistry } from "@berth/contracts";

/** Where the packages of one project come from. */
export interface PackageSources {
	/** The default registry first. */
	readonly registries: readonly PackageRegistry[];
	/** The `Authorization` that each origin is sent. It leaves the worker to that origin alone. */
	readonly logins: ReadonlyMap<string, string>;
	/** Other origins that a registry may redirect to. */
	readonly redirects: readonly string[];
	/** The project, where it has logins: what it builds may hold what others may not read, and isn't shared with them. */
	readonly owner?: string;
}
