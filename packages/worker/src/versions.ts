import { BerthError, type InvocationRequest, type Version } from "@berth/contracts";
import type { FunctionRegistry } from "@berth/registry";
import type { VersionNames } from "@berth/sandbox";

const KEPT = 1000;

/** What a version is known by in the pool: `project/function:7`. */
export function versionKeyOf({ project, function: name, version }: Pick<InvocationRequest, "project" | "function" | "version">): string {
	return `${project}/${name}:${version}`;
}

/** Ready versions never change: read once, kept while they are used. */
export class ReadyVersions {
	readonly #registry: FunctionRegistry;
	readonly #met: (of: VersionNames, key: string) => Promise<void>;
	readonly #kept = new Map<string, Version>();
	/** Counts what was told: an answer from before isn't kept. */
	#changes = 0;

	/** @param met done beside each read, before the version is given out; never rejects */
	constructor(registry: FunctionRegistry, met: (of: VersionNames, key: string) => Promise<void> = async () => undefined) {
		this.#registry = registry;
		this.#met = met;
		registry.onChange((name) => this.#forget(name));
	}

	/** @throws BerthError function_not_found when it was deleted since, function_not_ready when it has no image */
	async get(project: string, name: string, number: number): Promise<Version & Required<Pick<Version, "image">>> {
		const key = `${project}/${name}:${number}`;
		const changes = this.#changes;
		const known = this.#kept.get(key) ?? (await this.#read({ project, function: name, version: number }, key));
		if (known === undefined) throw new BerthError("function_not_found", `${key} was deleted before it could run`);
		if (known.image === undefined) throw new BerthError("function_not_ready", `${key} isn't ready`);
		if (this.#kept.size >= KEPT) this.#kept.clear();
		if (changes === this.#changes) this.#kept.set(key, known);
		return known as Version & Required<Pick<Version, "image">>;
	}

	async #read(of: VersionNames, key: string): Promise<Version | undefined> {
		const [version] = await Promise.all([this.#registry.getVersion(of.project, of.function, of.version), this.#met(of, key)]);
		return version;
	}

	#forget(name: string | undefined): void {
		this.#changes++;
		if (name === undefined) this.#kept.clear();
		else for (const key of this.#kept.keys()) if (key.startsWith(`${name}:`)) this.#kept.delete(key);
	}
}
