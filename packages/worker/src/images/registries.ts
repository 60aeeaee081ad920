import { BerthError, parseImageName } from "@berth/contracts";
import { type RegistryAccess, Repository } from "@berth/distribution";

/** The registries that the operator allows: a tenant's image name leads to no other host. */
export class Registries {
	readonly #allowed: readonly RegistryAccess[];

	constructor(allowed: readonly RegistryAccess[]) {
		this.#allowed = allowed;
	}

	/** @throws BerthError `invalid_request` when the registry isn't one of those */
	open(
		text: string,
		use: "pull" | "push",
	): { readonly repository: Repository; readonly host: string; readonly name: string; readonly reference: string } {
		const name = parseImageName(text);
		const access = name && this.#allowed.find(({ host }) => host === name.host);
		if (name === undefined || access === undefined) {
			const known = this.#allowed.map(({ host }) => host).join(", ");
			const allowed = known === "" ? "it names none so far" : `it names ${known}`;
			throw new BerthError(
				"invalid_request",
				`reference: ${text} is on no registry that this node may use: BERTH_REGISTRIES lists those, and ${allowed}.`,
			);
		}
		return { repository: new Repository(access, name.repository, use), host: name.host, name: name.repository, reference: name.reference };
	}
}
