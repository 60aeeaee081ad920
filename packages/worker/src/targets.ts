import { BerthError, labelsText, runtimeClassLack, satisfies } from "@berth/contracts";
import type { Specialisation, VersionNames } from "@berth/sandbox";
import type { FunctionSecrets } from "./function-secrets.js";
import { networkLack } from "./network-lack.js";
import type { NodeMeans } from "./node-means.js";
import type { ReadyVersions } from "./versions.js";

export interface TargetsOptions extends NodeMeans {
	readonly versions: Pick<ReadyVersions, "get">;
	readonly secrets: Pick<FunctionSecrets, "of">;
	/** What the node lacks for networks of functions, if anything. */
	readonly networkMissing: string | undefined;
}

/** What can't be had now, and needn't be tried again soon: a version that was deleted, or that this node has nothing for. */
const NOT_HERE: ReadonlySet<string> = new Set([
	"function_not_found",
	"function_not_ready",
	"network_unavailable",
	"no_matching_node",
	"runtime_class_unavailable",
]);

/** Versions as this node's sandboxes need them, with what they are given now. */
export class Targets {
	readonly #options: TargetsOptions;

	constructor(options: TargetsOptions) {
		this.#options = options;
	}

	/** @throws BerthError function_not_found, function_not_ready, network_unavailable, no_matching_node, runtime_class_unavailable, secret_unavailable, platform_error, unavailable */
	async of({ project, function: name, version: number }: VersionNames): Promise<Specialisation> {
		const { versions, networkMissing, runtimeClasses, labels } = this.#options;
		const { image, manifest } = await versions.get(project, name, number);
		const lack = networkLack(manifest, networkMissing);
		if (lack !== undefined) throw new BerthError("network_unavailable", lack);
		const noClass = runtimeClassLack(manifest.runtimeClass, runtimeClasses);
		if (noClass !== undefined) throw new BerthError("runtime_class_unavailable", noClass);
		// Only where the labels of a node have changed under what was placed on it.
		if (!satisfies(labels, manifest.nodeSelector))
			throw new BerthError("no_matching_node", `This node hasn't all of the labels ${labelsText(manifest.nodeSelector ?? {})} any more.`);
		const secrets = this.#options.secrets.of(project, manifest);
		return {
			key: `${project}/${name}:${number}`,
			project,
			function: name,
			version: number,
			image,
			manifest,
			...(secrets === undefined ? {} : { secrets: await secrets }),
		};
	}

	/** The same for a start that nobody waits for. @returns undefined for what this node can't run */
	async ahead(names: VersionNames): Promise<Specialisation | undefined> {
		try {
			return await this.of(names);
		} catch (error) {
			if (error instanceof BerthError && NOT_HERE.has(error.code)) return undefined;
			throw error;
		}
	}
}
