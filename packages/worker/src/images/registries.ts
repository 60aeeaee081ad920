import { BerthError, parseImageName } from "@berth/contracts";
import { type RegistryAccess, Repository } from "@berth/distribution";
import { isCopyOf } from "./copy-tag.js";

/** Where copies of all images are: no key of a project's is to read another's there, or to put something in its place. */
interface CopiesPlace {
	readonly host: string;
	readonly name: string;
}

/** The registries that the operator allows: a tenant's image name leads to no other host. */
export class Registries {
	readonly #allowed: readonly RegistryAccess[];
	readonly #copies: CopiesPlace | undefined;

	/** @param copies the repository with the copies of every project's images, where there is one */
	constructor(allowed: readonly RegistryAccess[], copies?: CopiesPlace) {
		this.#allowed = allowed;
		this.#copies = copies;
	}

	/** @throws BerthError `invalid_request` when the registry isn't one of those, or the image isn't the project's to name */
	open(
		text: string,
		use: "pull" | "push",
		project: string,
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
		if (name.host === this.#copies?.host && name.repository === this.#copies.name && !(use === "pull" && isCopyOf(project, name.reference)))
			throw new BerthError(
				"invalid_request",
				`reference: ${text} is in the repository where this installation keeps copies of all images: nothing is pushed there by name, and what is pulled is a copy of the project's own, by its tag: ${project}.<function>.<version>.`,
			);
		return { repository: new Repository(access, name.repository, use), host: name.host, name: name.repository, reference: name.reference };
	}
}
